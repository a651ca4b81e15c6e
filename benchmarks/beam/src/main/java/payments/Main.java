package payments;

import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import org.apache.beam.sdk.Pipeline;
import org.apache.beam.sdk.coders.ByteArrayCoder;
import org.apache.beam.sdk.coders.KvCoder;
import org.apache.beam.sdk.coders.StringUtf8Coder;
import org.apache.beam.sdk.io.TextIO;
import org.apache.beam.sdk.options.PipelineOptions;
import org.apache.beam.sdk.options.PipelineOptionsFactory;
import org.apache.beam.sdk.options.Validation;
import org.apache.beam.sdk.transforms.Combine;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.transforms.Flatten;
import org.apache.beam.sdk.transforms.ParDo;
import org.apache.beam.sdk.transforms.windowing.BoundedWindow;
import org.apache.beam.sdk.transforms.windowing.FixedWindows;
import org.apache.beam.sdk.transforms.windowing.GlobalWindows;
import org.apache.beam.sdk.transforms.windowing.IntervalWindow;
import org.apache.beam.sdk.transforms.windowing.Window;
import org.apache.beam.sdk.values.KV;
import org.apache.beam.sdk.values.PCollection;
import org.apache.beam.sdk.values.PCollectionList;
import org.apache.beam.sdk.values.PCollectionTuple;
import org.apache.beam.sdk.values.TupleTag;
import org.apache.beam.sdk.values.TupleTagList;
import org.joda.time.Duration;

/** Payments by card, merchant and device: tiles of five minutes and of an hour, into Redis; the payments into PostgreSQL. */
public final class Main {
  private static final long[] SIZES = {300_000, 3_600_000};

  public interface Options extends PipelineOptions {
    @Validation.Required
    String getInput();

    void setInput(String files);

    @Validation.Required
    String getRedis();

    void setRedis(String url);

    @Validation.Required
    String getPrefix();

    void setPrefix(String prefix);

    String getHistory();

    void setHistory(String jdbcUrl);
  }

  private Main() {}

  public static void main(String[] args) {
    Options options = PipelineOptionsFactory.fromArgs(args).withValidation().as(Options.class);
    URI redis = URI.create(options.getRedis());
    Pipeline pipeline = Pipeline.create(options);
    List<TupleTag<KV<byte[], Stats>>> tags = new ArrayList<>();
    for (long size : SIZES) tags.add(new TupleTag<>("tiles " + size) {});
    TupleTag<String> history = new TupleTag<>("history") {};
    PCollectionTuple folded =
        pipeline
            .apply("read", TextIO.read().from(options.getInput()))
            .apply(
                "fold",
                ParDo.of(new FoldFn(SIZES, tags, history, options.getHistory() != null))
                    .withOutputTags(tags.get(0), TupleTagList.of(tags.get(1)).and(history)));
    KvCoder<byte[], Stats> partial = KvCoder.of(ByteArrayCoder.of(), new Stats.Coder());
    KvCoder<byte[], StoreFn.Tile> whole = KvCoder.of(ByteArrayCoder.of(), new StoreFn.TileCoder());
    List<PCollection<KV<byte[], StoreFn.Tile>>> tiles = new ArrayList<>();
    for (int size = 0; size < SIZES.length; size++) {
      tiles.add(
          folded
              .get(tags.get(size))
              .setCoder(partial)
              .apply("window " + SIZES[size], Window.into(FixedWindows.of(Duration.millis(SIZES[size]))))
              .apply("merge " + SIZES[size], Combine.perKey(new MergeFn()))
              .setCoder(partial)
              .apply("stamp " + SIZES[size], ParDo.of(new StampFn(SIZES[size])))
              .setCoder(whole)
              .apply("all " + SIZES[size], Window.into(new GlobalWindows())));
    }
    PCollectionList.of(tiles)
        .apply("tiles", Flatten.pCollections())
        .apply("store", ParDo.of(new StoreFn(redis.getHost(), redis.getPort(), options.getPrefix())));
    PCollection<String> rows = folded.get(history).setCoder(StringUtf8Coder.of());
    if (options.getHistory() != null) rows.apply("history", ParDo.of(new HistoryFn(options.getHistory())));
    pipeline.run().waitUntilFinish();
    Runtime.getRuntime().halt(0);
  }

  private static final class StampFn extends DoFn<KV<byte[], Stats>, KV<byte[], StoreFn.Tile>> {
    private final long size;

    StampFn(long size) {
      this.size = size;
    }

    @ProcessElement
    public void process(@Element KV<byte[], Stats> tile, BoundedWindow window, OutputReceiver<KV<byte[], StoreFn.Tile>> out) {
      long start = ((IntervalWindow) window).start().getMillis();
      out.output(KV.of(tile.getKey(), new StoreFn.Tile(size, start, tile.getValue())));
    }
  }
}
