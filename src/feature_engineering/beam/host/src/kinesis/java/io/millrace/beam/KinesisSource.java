package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import java.net.URI;
import java.util.Map;
import org.apache.beam.sdk.Pipeline;
import org.apache.beam.sdk.coders.KvCoder;
import org.apache.beam.sdk.coders.StringUtf8Coder;
import org.apache.beam.sdk.io.Read;
import org.apache.beam.sdk.io.aws2.common.ClientConfiguration;
import org.apache.beam.sdk.io.aws2.kinesis.KinesisIO;
import org.apache.beam.sdk.io.aws2.kinesis.KinesisRecord;
import org.apache.beam.sdk.io.aws2.kinesis.KinesisUnbounded;
import org.apache.beam.sdk.io.aws2.kinesis.WatermarkPolicy;
import org.apache.beam.sdk.state.StateSpec;
import org.apache.beam.sdk.state.StateSpecs;
import org.apache.beam.sdk.state.ValueState;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.transforms.MapElements;
import org.apache.beam.sdk.transforms.ParDo;
import org.apache.beam.sdk.transforms.SimpleFunction;
import org.apache.beam.sdk.transforms.windowing.BoundedWindow;
import org.apache.beam.sdk.values.KV;
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
        .apply(name + " kinesis", Read.from(new EvenSource<>(KinesisUnbounded.of(read))))
        .apply(
            name + " shards",
            MapElements.via(
                new SimpleFunction<KinesisRecord, KV<String, KV<String, RawMessage>>>() {
                  @Override
                  public KV<String, KV<String, RawMessage>> apply(KinesisRecord record) {
                    return KV.of(record.getShardId(), KV.of(placeOf(record), messageOf(record)));
                  }
                }))
        .setCoder(KvCoder.of(StringUtf8Coder.of(), KvCoder.of(StringUtf8Coder.of(), new RawMessage.Coder())))
        .apply(name + " messages", ParDo.of(new InOrderFn(name)))
        .setCoder(new RawMessage.Coder());
  }

  private static RawMessage messageOf(KinesisRecord record) {
    String id = record.getShardId() + "/" + record.getSequenceNumber() + "/" + record.getSubSequenceNumber();
    long arrival = record.getApproximateArrivalTimestamp().getMillis();
    return new RawMessage(record.getShardId(), "", Position.of(id), arrival, Map.of(), record.getDataAsBytes());
  }

  /** Where a record is in its shard: of two texts the smaller one comes first. */
  private static String placeOf(KinesisRecord record) {
    String sequence = record.getSequenceNumber();
    return "0".repeat(Math.max(0, 64 - sequence.length())) + sequence + String.format("/%012d", record.getSubSequenceNumber());
  }

  /** Drops what comes again: a reader that goes on may begin a shard anew where shards were split or merged meanwhile. */
  private static final class InOrderFn extends DoFn<KV<String, KV<String, RawMessage>>, RawMessage> {
    @StateId("last")
    private final StateSpec<ValueState<String>> last = StateSpecs.value(StringUtf8Coder.of());

    private final Tally redelivered;

    InOrderFn(String name) {
      redelivered = new Tally(name, "redelivered");
    }

    @ProcessElement
    public void process(
        @Element KV<String, KV<String, RawMessage>> element,
        @StateId("last") ValueState<String> last,
        OutputReceiver<RawMessage> out) {
      String place = element.getValue().getKey();
      String before = last.read();
      if (before != null && before.compareTo(place) >= 0) {
        redelivered.inc();
        return;
      }
      last.write(place);
      out.output(element.getValue().getValue());
    }
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
