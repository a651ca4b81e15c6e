package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.beam.sdk.Pipeline;
import org.apache.beam.sdk.coders.ByteArrayCoder;
import org.apache.beam.sdk.coders.KvCoder;
import org.apache.beam.sdk.coders.StringUtf8Coder;
import org.apache.beam.sdk.options.Description;
import org.apache.beam.sdk.options.PipelineOptions;
import org.apache.beam.sdk.options.PipelineOptionsFactory;
import org.apache.beam.sdk.options.Validation;
import org.apache.beam.sdk.transforms.Combine;
import org.apache.beam.sdk.transforms.Flatten;
import org.apache.beam.sdk.transforms.GroupByKey;
import org.apache.beam.sdk.transforms.ParDo;
import org.apache.beam.sdk.transforms.windowing.AfterPane;
import org.apache.beam.sdk.transforms.windowing.AfterProcessingTime;
import org.apache.beam.sdk.transforms.windowing.AfterWatermark;
import org.apache.beam.sdk.transforms.windowing.FixedWindows;
import org.apache.beam.sdk.transforms.windowing.GlobalWindows;
import org.apache.beam.sdk.transforms.windowing.Repeatedly;
import org.apache.beam.sdk.transforms.windowing.Window;
import org.apache.beam.sdk.values.KV;
import org.apache.beam.sdk.values.PCollection;
import org.apache.beam.sdk.values.PCollectionList;
import org.apache.beam.sdk.values.PCollectionTuple;
import org.apache.beam.sdk.values.TupleTag;
import org.apache.beam.sdk.values.TupleTagList;
import org.joda.time.Duration;

/** Builds the pipeline that a job file describes and runs it. */
public final class Main {
  /** How long a tile waits for more before it is written. */
  private static final Duration EARLY = Duration.standardSeconds(1);

  /** Of a watermark that cannot be held back: nothing of a source with a clock of its own may be late. A hundred years. */
  private static final long FOR_EVER = Duration.standardDays(36_500).getMillis();

  /** What the launcher says beside Beam's own options. */
  public interface Options extends PipelineOptions {
    @Description("The job file that the launcher made")
    @Validation.Required
    String getJob();

    void setJob(String job);
  }

  private static final String JOB = "--job=";

  private Main() {}

  public static void main(String[] args) throws Exception {
    // Beam looks for all options that there are: that takes as long as to open the script, on another thread.
    CompletableFuture<Opened> opening = CompletableFuture.supplyAsync(() -> open(args));
    Options options = PipelineOptionsFactory.fromArgs(withDefaults(args)).withValidation().as(Options.class);
    Pipeline pipeline = Pipeline.create(options);
    Opened opened = opening.join();
    JobFile job = opened.job();
    build(pipeline, job, opened.described());
    Progress.listen();
    try {
      JsonNode parquet = job.get("parquet");
      if (parquet.path("anew").asBoolean()) {
        for (String name : job.names()) ParquetPart.find().setAside(name, parquet, job.generation());
      }
      Progress.follow(pipeline.run(), job.names());
    } catch (Exception | Error error) {
      // Threads of a runner would keep the process.
      error.printStackTrace();
      Runtime.getRuntime().halt(1);
    }
  }

  /** The host changes no element that it was given or gave away, so Flink need not copy them between its operators. */
  static String[] withDefaults(String[] args) {
    List<String> all = new ArrayList<>(List.of(args));
    for (String name : List.of("--objectReuse", "--fasterCopy")) {
      if (all.stream().noneMatch(arg -> arg.startsWith(name))) all.add(name + "=true");
    }
    return all.toArray(String[]::new);
  }

  /** A job, and what its script says of it. */
  private record Opened(JobFile job, JsonNode described) {}

  private static Opened open(String[] args) {
    String path = Arrays.stream(args).filter(arg -> arg.startsWith(JOB)).findFirst().orElse(JOB).substring(JOB.length());
    try {
      JobFile job = JobFile.read(Path.of(path));
      WorkerScript script = ScriptPool.take(job);
      JsonNode described = JobFile.parse(script.describe());
      // The first step of an embedded runner takes it.
      ScriptPool.give(job, script);
      return new Opened(job, described);
    } catch (IOException error) {
      throw new UncheckedIOException("The job file cannot be read: " + error.getMessage(), error);
    }
  }

  private static void build(Pipeline pipeline, JobFile job, JsonNode described) {
    if (job.get("fit").isObject()) {
      FitPipeline.build(pipeline, job, described);
      return;
    }
    JsonNode sources = job.get("sources");
    for (int source = 0; source < sources.size(); source++) {
      addSource(pipeline, job, source, sources.get(source), described.get(source));
    }
  }

  private static void addSource(Pipeline pipeline, JobFile job, int index, JsonNode source, JsonNode described) {
    String name = described.get("name").asText();
    PCollection<RawMessage> messages = StreamSource.of(source).read(pipeline, name, source);
    boolean isStreamClock = described.get("clock").asText().equals("stream");
    List<PCollection<String>> batches = new ArrayList<>();
    if (described.get("has_id").asBoolean()) messages = distinct(messages, job, index, name, described, batches);

    boolean keepsTiles = source.has("pubsub") && isStreamClock;
    tiles(messages, job, index, name, described.get("branches"), keepsTiles, batches)
        .apply(name + " store", ParDo.of(new StoreFn(job, name, isStreamClock, isBatch(messages))));
    if (job.keepsHistory()) {
      PCollection<String> all = PCollectionList.of(batches).apply(name + " batches", Flatten.pCollections());
      all.apply(name + " history", ParDo.of(new HistoryFn(job, name)));
      JsonNode parquet = job.get("parquet");
      if (parquet.isObject()) ParquetPart.find().write(all, name, parquet, job.generation());
    }
  }

  /** The tiles of messages: in batch each once, all of an entity together; else again and again, as they grow. */
  private static PCollection<KV<byte[], byte[]>> tiles(
      PCollection<RawMessage> messages,
      JobFile job,
      int index,
      String name,
      JsonNode sizes,
      boolean keepsTiles,
      List<PCollection<String>> batches) {
    boolean isBatch = isBatch(messages);
    List<TupleTag<KV<byte[], byte[]>>> branches = new ArrayList<>();
    TupleTagList others = TupleTagList.empty();
    for (JsonNode size : sizes) {
      if (isBatch) break;
      branches.add(new TupleTag<>("tiles " + size.get("hop_ms").asText()) {});
      others = others.and(branches.get(branches.size() - 1));
    }
    TupleTag<String> history = new TupleTag<>("history") {};
    TupleTag<KV<byte[], byte[]>> main = new TupleTag<>("main") {};
    // An output that nobody reads costs Flink a copy of all others.
    if (job.keepsHistory()) others = others.and(history);
    PCollectionTuple folded =
        messages.apply(
            name + " fold",
            ParDo.of(new FoldFn(job, index, name, main, branches, history)).withOutputTags(main, others));
    KvCoder<byte[], byte[]> coder = KvCoder.of(ByteArrayCoder.of(), ByteArrayCoder.of());
    folded.get(main).setCoder(coder);
    if (job.keepsHistory()) batches.add(folded.get(history).setCoder(StringUtf8Coder.of()));
    if (isBatch) {
      return folded
          .get(main)
          .apply(name + " entities", GroupByKey.create())
          .apply(name + " join", ParDo.of(new JoinFn()))
          .setCoder(coder);
    }
    List<PCollection<KV<byte[], byte[]>>> tiles = new ArrayList<>();
    for (int branch = 0; branch < branches.size(); branch++) {
      JsonNode size = sizes.get(branch);
      String label = name + " " + size.get("hop_ms").asText();
      tiles.add(
          folded
              .get(branches.get(branch))
              .setCoder(coder)
              .apply(label + " window", windows(size.get("hop_ms").asLong(), keepsTiles ? FOR_EVER : size.get("retention_ms").asLong()))
              .apply(label + " merge", Combine.perKey(new ConcatenateFn(job)))
              .setCoder(coder)
              .apply(label + " stamp", ParDo.of(new StampFn()))
              .setCoder(coder)
              .apply(label + " out", all()));
    }
    return PCollectionList.of(tiles).apply(name + " tiles", Flatten.pCollections());
  }

  private static boolean isBatch(PCollection<RawMessage> messages) {
    return messages.isBounded() == PCollection.IsBounded.BOUNDED;
  }

  /** Each event once. */
  static PCollection<RawMessage> distinct(
      PCollection<RawMessage> messages,
      JobFile job,
      int index,
      String name,
      JsonNode described,
      List<PCollection<String>> batches) {
    TupleTag<KV<byte[], IdentifyFn.Identified>> identified = new TupleTag<>("identified") {};
    TupleTag<String> history = new TupleTag<>("history") {};
    TupleTag<RawMessage> first = new TupleTag<>("first") {};
    PCollectionTuple events =
        messages.apply(
            name + " identify",
            ParDo.of(new IdentifyFn(job, index, name, identified, history))
                .withOutputTags(identified, TupleTagList.of(history)));
    batches.add(events.get(history).setCoder(StringUtf8Coder.of()));
    PCollection<KV<byte[], IdentifyFn.Identified>> keyed =
        events.get(identified).setCoder(KvCoder.of(ByteArrayCoder.of(), new IdentifyFn.Coder()));
    PCollectionTuple once;
    if (isBatch(messages)) {
      once =
          keyed
              .apply(name + " events", GroupByKey.create())
              .apply(
                  name + " distinct",
                  ParDo.of(new FirstFn(job, name, history)).withOutputTags(first, TupleTagList.of(history)));
    } else {
      long retention = 0;
      for (JsonNode branch : described.get("branches")) {
        JsonNode own = branch.get("retention_ms");
        retention = own.isNull() || retention < 0 ? -1 : Math.max(retention, own.asLong());
      }
      once =
          keyed.apply(
              name + " distinct",
              ParDo.of(new DedupeFn(job, name, retention, history)).withOutputTags(first, TupleTagList.of(history)));
    }
    batches.add(once.get(history).setCoder(StringUtf8Coder.of()));
    return once.get(first).setCoder(new RawMessage.Coder());
  }

  /** Tiles of a size; 0 is one tile for all of the past. */
  private static Window<KV<byte[], byte[]>> windows(long hop, long retention) {
    AfterProcessingTime soon = AfterProcessingTime.pastFirstElementInPane().plusDelayOf(EARLY);
    if (hop == 0) {
      return Window.<KV<byte[], byte[]>>into(new GlobalWindows())
          .triggering(Repeatedly.forever(soon))
          .withAllowedLateness(Duration.ZERO)
          .accumulatingFiredPanes();
    }
    return Window.<KV<byte[], byte[]>>into(FixedWindows.of(Duration.millis(hop)))
        .triggering(AfterWatermark.pastEndOfWindow().withEarlyFirings(soon).withLateFirings(soon))
        .withAllowedLateness(Duration.millis(retention))
        .withOnTimeBehavior(Window.OnTimeBehavior.FIRE_IF_NON_EMPTY)
        .accumulatingFiredPanes();
  }

  /** What every size's tiles are windowed into, so that they flow together. */
  private static Window<KV<byte[], byte[]>> all() {
    return Window.<KV<byte[], byte[]>>into(new GlobalWindows())
        .triggering(Repeatedly.forever(AfterPane.elementCountAtLeast(1)))
        .withAllowedLateness(Duration.ZERO)
        .discardingFiredPanes();
  }
}
