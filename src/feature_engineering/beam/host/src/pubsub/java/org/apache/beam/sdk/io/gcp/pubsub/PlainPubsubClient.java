package org.apache.beam.sdk.io.gcp.pubsub;

import com.google.auth.Credentials;
import io.grpc.netty.NegotiationType;
import io.grpc.netty.NettyChannelBuilder;
import java.net.URI;
import java.util.List;
import java.util.Map;

/** Beam's client of Pub/Sub for a stand-in, which has neither TLS nor credentials: its own channel always has TLS. */
public final class PlainPubsubClient implements PubsubClient.PubsubClientFactory {
  private static final int TIMEOUT_SECONDS = 60;
  private final String address;

  /** `host:port`. */
  public PlainPubsubClient(String address) {
    this.address = address;
  }

  @Override
  public PubsubClient newClient(String timestampAttribute, String idAttribute, PubsubOptions options, String rootUrl) {
    return newClient(timestampAttribute, idAttribute, options);
  }

  @Override
  public PubsubClient newClient(String timestampAttribute, String idAttribute, PubsubOptions options) {
    var channel = NettyChannelBuilder.forTarget(address).negotiationType(NegotiationType.PLAINTEXT).build();
    return new PubsubGrpcClient(timestampAttribute, idAttribute, TIMEOUT_SECONDS, channel, new NoCredentials());
  }

  @Override
  public String getKind() {
    return "plain";
  }

  private static final class NoCredentials extends Credentials {
    @Override
    public String getAuthenticationType() {
      return "none";
    }

    @Override
    public Map<String, List<String>> getRequestMetadata(URI uri) {
      return Map.of();
    }

    @Override
    public boolean hasRequestMetadata() {
      return false;
    }

    @Override
    public boolean hasRequestMetadataOnly() {
      return true;
    }

    @Override
    public void refresh() {}
  }
}
