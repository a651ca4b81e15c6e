package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import java.net.URI;
import java.util.Map;
import org.apache.beam.sdk.Pipeline;
import org.apache.beam.sdk.io.aws2.common.ClientConfiguration;
import org.apache.beam.sdk.io.aws2.kinesis.KinesisIO;
import org.apache.beam.sdk.io.aws2.kinesis.KinesisRecord;
import org.apache.beam.sdk.io.aws2.kinesis.WatermarkPolicy;
import org.apache.beam.sdk.transforms.MapElements;
import org.apache.beam.sdk.transforms.SimpleFunction;
import org.apache.beam.sdk.transforms.windowing.BoundedWindow;
import org.apache.beam.sdk.values.PCollection;
import org.joda.time.Duration;
import org.joda.time.Instant;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentials;
import software.amazon.awssdk.auth.credentials.AwsSessionCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.regions.Region;
import software.amazon.kinesis.common.InitialPositionInStream;

/** Reads a stream of Kinesis, its producer library's aggregated records taken apart. A shard is one partition. */
final class KinesisSource implements StreamSource {
  @Override
  public PCollection<RawMessage> read(Pipeline pipeline, String name, JsonNode source) {
    JsonNode kinesis = source.get("kinesis");
    boolean pinned = source.get("clock").asText().equals("stream");
    long lateness = source.get("lateness_ms").asLong();
    KinesisIO.Read read =
        KinesisIO.read()
            .withStreamName(kinesis.get("stream").asText())
            .withClientConfiguration(clientOf(kinesis))
            .withCustomWatermarkPolicy(() -> new Arrival(pinned, lateness));
    JsonNode from = kinesis.get("from");
    if (from.isNumber()) read = read.withInitialTimestampInStream(new Instant(from.asLong()));
    else read = read.withInitialPositionInStream(InitialPositionInStream.valueOf(from.asText()));
    return pipeline
        .apply(name + " kinesis", read)
        .apply(
            name + " messages",
            MapElements.via(
                new SimpleFunction<KinesisRecord, RawMessage>() {
                  @Override
                  public RawMessage apply(KinesisRecord record) {
                    String id = record.getShardId() + "/" + record.getSequenceNumber() + "/" + record.getSubSequenceNumber();
                    return new RawMessage(
                        record.getShardId(),
                        "",
                        Position.of(id),
                        record.getApproximateArrivalTimestamp().getMillis(),
                        Map.of(),
                        record.getDataAsBytes());
                  }
                }))
        .setCoder(new RawMessage.Coder());
  }

  private static ClientConfiguration clientOf(JsonNode kinesis) {
    ClientConfiguration.Builder client = ClientConfiguration.builder();
    if (kinesis.hasNonNull("region")) client.region(Region.of(kinesis.get("region").asText()));
    if (kinesis.hasNonNull("endpoint")) {
      client.endpoint(URI.create(kinesis.get("endpoint").asText()));
      // Stand-ins write times in CBOR as its readers do not expect them; in JSON they are understood.
      System.setProperty("aws.cborEnabled", "false");
    }
    JsonNode credentials = kinesis.path("credentials");
    if (credentials.isObject()) {
      String id = credentials.get("access_key_id").asText();
      String secret = credentials.get("secret_access_key").asText();
      AwsCredentials given =
          credentials.hasNonNull("session_token")
              ? AwsSessionCredentials.create(id, secret, credentials.get("session_token").asText())
              : AwsBasicCredentials.create(id, secret);
      client.credentialsProvider(StaticCredentialsProvider.create(given));
    }
    return client.build();
  }

  /** As of Kafka: behind the arrivals by the source's lateness, of a shard without news behind the wall clock. */
  private static final class Arrival implements WatermarkPolicy {
    private static final Duration IDLE = Duration.standardSeconds(30);
    private final boolean pinned;
    private final Duration lateness;
    private Instant watermark = BoundedWindow.TIMESTAMP_MIN_VALUE;
    private Instant heard = Instant.now();

    Arrival(boolean pinned, long lateness) {
      this.pinned = pinned;
      this.lateness = Duration.millis(lateness);
    }

    @Override
    public Instant getWatermark() {
      if (pinned) return BoundedWindow.TIMESTAMP_MIN_VALUE;
      Instant idle = Instant.now().minus(IDLE);
      if (heard.isBefore(idle)) raise(idle.minus(lateness));
      return watermark;
    }

    @Override
    public void update(KinesisRecord record) {
      heard = Instant.now();
      raise(record.getApproximateArrivalTimestamp().minus(lateness));
    }

    private void raise(Instant to) {
      if (to.isAfter(watermark)) watermark = to;
    }
  }
}
