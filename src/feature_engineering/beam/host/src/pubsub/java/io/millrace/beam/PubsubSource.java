package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Map;
import org.apache.beam.sdk.Pipeline;
import org.apache.beam.sdk.coders.KvCoder;
import org.apache.beam.sdk.coders.StringUtf8Coder;
import org.apache.beam.sdk.coders.VarLongCoder;
import org.apache.beam.sdk.io.gcp.pubsub.PlainPubsubClient;
import org.apache.beam.sdk.io.gcp.pubsub.PubsubIO;
import org.apache.beam.sdk.io.gcp.pubsub.PubsubMessage;
import org.apache.beam.sdk.io.gcp.pubsub.PubsubMessageWithAttributesAndMessageIdCoder;
import org.apache.beam.sdk.state.StateSpec;
import org.apache.beam.sdk.state.StateSpecs;
import org.apache.beam.sdk.state.TimeDomain;
import org.apache.beam.sdk.state.Timer;
import org.apache.beam.sdk.state.TimerSpec;
import org.apache.beam.sdk.state.TimerSpecs;
import org.apache.beam.sdk.state.ValueState;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.transforms.ParDo;
import org.apache.beam.sdk.transforms.WithKeys;
import org.apache.beam.sdk.values.KV;
import org.apache.beam.sdk.values.PCollection;
import org.apache.beam.sdk.values.TypeDescriptors;
import org.joda.time.Duration;
import org.joda.time.Instant;

/** Reads a subscription of Pub/Sub. A message's id is its position, and a message that is delivered again is dropped. */
final class PubsubSource implements StreamSource {
  @Override
  public PCollection<RawMessage> read(Pipeline pipeline, String name, JsonNode source) {
    JsonNode pubsub = source.get("pubsub");
    String subscription = pubsub.get("subscription").asText();
    PubsubIO.Read<PubsubMessage> read =
        PubsubIO.readMessagesWithAttributesAndMessageId().fromSubscription(subscription);
    if (pubsub.hasNonNull("emulator")) {
      read = read.withClientFactory(new PlainPubsubClient(pubsub.get("emulator").asText()));
    }
    return pipeline
        .apply(name + " pubsub", read)
        .setCoder(PubsubMessageWithAttributesAndMessageIdCoder.of())
        .apply(name + " ids", WithKeys.of(PubsubMessage::getMessageId).withKeyType(TypeDescriptors.strings()))
        .setCoder(KvCoder.of(StringUtf8Coder.of(), PubsubMessageWithAttributesAndMessageIdCoder.of()))
        .apply(name + " messages", ParDo.of(new OnceFn(name, "pubsub:" + subscription, pubsub.get("remember_ms").asLong())))
        .setCoder(new RawMessage.Coder());
  }

  private static final class OnceFn extends DoFn<KV<String, PubsubMessage>, RawMessage> {
    @StateId("taken")
    private final StateSpec<ValueState<Long>> taken = StateSpecs.value(VarLongCoder.of());

    @TimerId("forget")
    private final TimerSpec forget = TimerSpecs.timer(TimeDomain.PROCESSING_TIME);

    private final String partition;
    private final long remember;
    private final Tally redelivered;

    OnceFn(String name, String partition, long remember) {
      this.partition = partition;
      this.remember = remember;
      redelivered = new Tally(name, "redelivered");
    }

    @ProcessElement
    public void process(
        @Element KV<String, PubsubMessage> element,
        @Timestamp Instant published,
        @StateId("taken") ValueState<Long> taken,
        @TimerId("forget") Timer forget,
        OutputReceiver<RawMessage> out) {
      if (taken.read() != null) {
        redelivered.inc();
        return;
      }
      taken.write(published.getMillis());
      forget.offset(Duration.millis(remember)).withNoOutputTimestamp().setRelative();
      PubsubMessage message = element.getValue();
      Map<String, String> attributes = message.getAttributeMap() == null ? Map.of() : message.getAttributeMap();
      out.output(
          new RawMessage(partition, "", Position.of(element.getKey()), published.getMillis(), attributes, message.getPayload()));
    }

    @OnTimer("forget")
    public void forget(@StateId("taken") ValueState<Long> taken) {
      taken.clear();
    }
  }
}
