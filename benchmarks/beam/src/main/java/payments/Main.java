package payments;

import java.net.URI;
import org.apache.beam.sdk.Pipeline;
import org.apache.beam.sdk.coders.ByteArrayCoder;
import org.apache.beam.sdk.coders.KvCoder;
import org.apache.beam.sdk.coders.StringUtf8Coder;
import org.apache.beam.sdk.io.TextIO;
import org.apache.beam.sdk.options.Default;
import org.apache.beam.sdk.options.PipelineOptions;
import org.apache.beam.sdk.options.PipelineOptionsFactory;
import org.apache.beam.sdk.options.Validation;
import org.apache.beam.sdk.transforms.GroupByKey;
import org.apache.beam.sdk.transforms.ParDo;
import org.apache.beam.sdk.values.KV;
import org.apache.beam.sdk.values.PCollectionTuple;
import org.apache.beam.sdk.values.TupleTag;
import org.apache.beam.sdk.values.TupleTagList;

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

    @Default.Integer(20_000)
    int getAtOnce();

    void setAtOnce(int payments);

    String getHistory();

    void setHistory(String jdbcUrl);
  }

  private Main() {}

  public static void main(String[] args) {
    Options options = PipelineOptionsFactory.fromArgs(args).withValidation().as(Options.class);
    URI redis = URI.create(options.getRedis());
    Pipeline pipeline = Pipeline.create(options);
    TupleTag<KV<byte[], StoreFn.Tile>> partials = new TupleTag<>("partials") {};
    TupleTag<String> history = new TupleTag<>("history") {};
    boolean keepsHistory = options.getHistory() != null;
    PCollectionTuple folded =
        pipeline
            .apply("read", TextIO.read().from(options.getInput()))
            .apply(
                "fold",
                ParDo.of(new FoldFn(options.getAtOnce(), SIZES, partials, history, keepsHistory))
                    .withOutputTags(partials, keepsHistory ? TupleTagList.of(history) : TupleTagList.empty()));
    folded
        .get(partials)
        .setCoder(KvCoder.of(ByteArrayCoder.of(), new StoreFn.TileCoder()))
        .apply("entities", GroupByKey.create())
        .apply("store", ParDo.of(new StoreFn(redis.getHost(), redis.getPort(), options.getPrefix())));
    if (keepsHistory) {
      folded.get(history).setCoder(StringUtf8Coder.of()).apply("history", ParDo.of(new HistoryFn(options.getHistory())));
    }
    pipeline.run().waitUntilFinish();
    Runtime.getRuntime().halt(0);
  }
}
