package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.beam.sdk.Pipeline;
import org.apache.beam.sdk.coders.ByteArrayCoder;
import org.apache.beam.sdk.coders.KvCoder;
import org.apache.beam.sdk.coders.StringUtf8Coder;
import org.apache.beam.sdk.coders.VarIntCoder;
import org.apache.beam.sdk.transforms.Combine;
import org.apache.beam.sdk.transforms.Create;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.transforms.Flatten;
import org.apache.beam.sdk.transforms.GroupByKey;
import org.apache.beam.sdk.transforms.ParDo;
import org.apache.beam.sdk.transforms.View;
import org.apache.beam.sdk.transforms.WithKeys;
import org.apache.beam.sdk.values.KV;
import org.apache.beam.sdk.values.PCollection;
import org.apache.beam.sdk.values.PCollectionList;
import org.apache.beam.sdk.values.PCollectionTuple;
import org.apache.beam.sdk.values.PCollectionView;
import org.apache.beam.sdk.values.TupleTag;
import org.apache.beam.sdk.values.TupleTagList;

/**
 * The pipeline that fits a service on a training frame: events and the rows that may see them come together by entity
 * and time, the rows' features by chunks of rows; each pass learns of all chunks, with what the passes before it learned.
 * What is in the bytes is the script's affair.
 */
final class FitPipeline {
  private static final KvCoder<byte[], byte[]> CODER = KvCoder.of(ByteArrayCoder.of(), ByteArrayCoder.of());

  private final Pipeline pipeline;
  private final JobFile job;
  private final JsonNode fit;
  private final List<PCollection<String>> lines = new ArrayList<>();

  private FitPipeline(Pipeline pipeline, JobFile job) {
    this.pipeline = pipeline;
    this.job = job;
    fit = job.get("fit");
  }

  static void build(Pipeline pipeline, JobFile job, JsonNode described) {
    new FitPipeline(pipeline, job).build(described);
  }

  private void build(JsonNode described) {
    List<PCollection<KV<byte[], byte[]>>> entries = new ArrayList<>();
    JsonNode sources = described.get("sources");
    for (int source = 0; source < sources.size(); source++) entries.add(events(source, sources.get(source)));
    // Behind the sources.
    JsonNode files = job.get("sources").get(sources.size());
    PCollection<RawMessage> frame = StreamSource.of(files).read(pipeline, "training frame", files);
    entries.add(step("lookups", frame, messages(sources.size(), "fitLookups")));
    PCollection<KV<byte[], byte[]>> read = grouped("features", entries, "fitRead");
    PCollection<KV<byte[], byte[]>> parts = step("parts", frame, messages(sources.size(), "fitParts"));
    PCollection<KV<byte[], byte[]>> chunks = grouped("rows", List.of(parts, read), "fitAssemble");

    List<PCollection<String>> learned = new ArrayList<>();
    JsonNode passes = described.get("passes");
    for (int pass = 1; pass <= passes.size(); pass++) learned.add(pass(pass, passes.get(pass - 1), chunks, learned));
    lines.addAll(learned);
    if (described.get("profile").asBoolean()) lines.add(profile(chunks, learned));
    lines.add(pipeline.apply("nothing", Create.of("{}").withCoder(StringUtf8Coder.of())));
    PCollectionList.of(lines)
        .apply("lines", Flatten.pCollections())
        .apply("one", WithKeys.of(0))
        .setCoder(KvCoder.of(VarIntCoder.of(), StringUtf8Coder.of()))
        .apply("all lines", GroupByKey.create())
        .apply("result", ParDo.of(new FitResultFn(fit.get("result").asText())));
  }

  private PCollection<KV<byte[], byte[]>> events(int index, JsonNode described) {
    JsonNode source = job.get("sources").get(index);
    String name = described.get("name").asText();
    PCollection<RawMessage> messages = StreamSource.of(source).read(pipeline, name, source);
    if (described.get("has_id").asBoolean()) {
      messages = Main.distinct(messages, job, index, name, described, new ArrayList<>());
    }
    return step(name + " events", messages, messages(index, "fitEvents"));
  }

  private PCollection<String> pass(
      int pass, JsonNode fits, PCollection<KV<byte[], byte[]>> chunks, List<PCollection<String>> before) {
    String name = "pass " + pass;
    List<KV<byte[], byte[]>> none = new ArrayList<>();
    for (JsonNode index : fits) {
      FrameWriter key = new FrameWriter(10);
      key.varint(index.asLong());
      none.add(KV.of(key.toBytes(), new byte[0]));
    }
    // Of no rows something is learned too.
    PCollection<KV<byte[], byte[]>> seeds = pipeline.apply(name + " seeds", Create.of(none).withCoder(CODER));
    PCollectionView<Iterable<String>> known = known(name + " known", before);
    PCollection<KV<byte[], byte[]>> partials = step(name + " learn", chunks, "fitLearn", pass, known);
    PCollection<KV<byte[], byte[]>> merged =
        PCollectionList.of(partials)
            .and(seeds)
            .apply(name + " partials", Flatten.pCollections())
            .apply(name + " merge", Combine.perKey(new ConcatenateFn(job, "fitCompact")))
            .setCoder(CODER);
    return text(name, step(name + " finish", merged, "fitFinish", 0, null));
  }

  private PCollection<String> profile(PCollection<KV<byte[], byte[]>> chunks, List<PCollection<String>> learned) {
    PCollectionView<Iterable<String>> known = known("all known", learned);
    PCollection<KV<byte[], byte[]>> columns = step("sample", chunks, "fitSample", 0, known);
    return text("profiles", grouped("profile", List.of(columns), "fitProfile"));
  }

  private PCollectionView<Iterable<String>> known(String name, List<PCollection<String>> learned) {
    if (learned.isEmpty()) return null;
    return PCollectionList.of(learned).apply(name + " lines", Flatten.pCollections()).apply(name, View.asIterable());
  }

  /** Makes a step, given the tags of its outputs. */
  private interface Step<T> {
    FitFn<T> of(TupleTag<KV<byte[], byte[]>> main, TupleTag<String> problems);
  }

  private Step<RawMessage> messages(int source, String function) {
    return (main, problems) -> new FitMessagesFn(job, source, function, main, problems);
  }

  private <T> PCollection<KV<byte[], byte[]>> step(String name, PCollection<T> input, Step<T> step) {
    return step(name, input, step, null);
  }

  private <T> PCollection<KV<byte[], byte[]>> step(
      String name, PCollection<T> input, Step<T> step, PCollectionView<Iterable<String>> known) {
    TupleTag<KV<byte[], byte[]>> main = new TupleTag<>("main");
    TupleTag<String> problems = new TupleTag<>("problems");
    ParDo.MultiOutput<T, KV<byte[], byte[]>> done =
        ParDo.of(step.of(main, problems)).withOutputTags(main, TupleTagList.of(problems));
    PCollectionTuple outputs = input.apply(name, known == null ? done : done.withSideInputs(known));
    lines.add(outputs.get(problems).setCoder(StringUtf8Coder.of()));
    return outputs.get(main).setCoder(CODER);
  }

  private PCollection<KV<byte[], byte[]>> step(
      String name,
      PCollection<KV<byte[], byte[]>> input,
      String function,
      int number,
      PCollectionView<Iterable<String>> known) {
    return step(
        name,
        input,
        (main, problems) -> new FitGroupsFn.OfOne(job, function, number, known, main, problems),
        known);
  }

  /** Has a step take all blocks of a key at once. */
  private PCollection<KV<byte[], byte[]>> grouped(
      String name, List<PCollection<KV<byte[], byte[]>>> blocks, String function) {
    PCollection<KV<byte[], Iterable<byte[]>>> groups =
        PCollectionList.of(blocks).apply(name + " blocks", Flatten.pCollections()).apply(name + " by key", GroupByKey.create());
    int most = fit.get("most_bytes").asInt();
    return step(name, groups, (main, problems) -> new FitGroupsFn.OfAll(job, function, most, main, problems));
  }

  private static PCollection<String> text(String name, PCollection<KV<byte[], byte[]>> elements) {
    return elements.apply(name + " text", ParDo.of(new TextFn())).setCoder(StringUtf8Coder.of());
  }

  private static final class TextFn extends DoFn<KV<byte[], byte[]>, String> {
    @ProcessElement
    public void process(@Element KV<byte[], byte[]> element, OutputReceiver<String> out) {
      out.output(new String(element.getValue(), StandardCharsets.UTF_8));
    }
  }
}
