package payments;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.beam.sdk.metrics.Counter;
import org.apache.beam.sdk.metrics.Metrics;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.transforms.windowing.GlobalWindow;
import org.apache.beam.sdk.values.KV;
import org.apache.beam.sdk.values.TupleTag;
import org.joda.time.Instant;

/** Parses payments and folds those of a bundle into tiles of each size, so that far fewer elements are shuffled. */
final class FoldFn extends DoFn<String, KV<byte[], StoreFn.Tile>> {
  private static final int VIEWS = 3;
  private final int most;
  private final long[] sizes;
  private final TupleTag<KV<byte[], StoreFn.Tile>> partials;
  private final TupleTag<String> history;
  private final boolean keepsHistory;
  private final Counter bad = Metrics.counter("payments", "bad");
  private transient Map<String, Map<Long, Stats>>[][] tiles;
  private transient StringBuilder rows;
  private transient int count;

  /** Folds so many payments before it hands on their tiles, at most. */
  FoldFn(
      int most, long[] sizes, TupleTag<KV<byte[], StoreFn.Tile>> partials, TupleTag<String> history, boolean keepsHistory) {
    this.most = most;
    this.sizes = sizes;
    this.partials = partials;
    this.history = history;
    this.keepsHistory = keepsHistory;
  }

  @StartBundle
  @SuppressWarnings({"unchecked", "rawtypes"})
  public void start() {
    tiles = new Map[VIEWS][sizes.length];
    for (Map[] own : tiles) for (int size = 0; size < sizes.length; size++) own[size] = new HashMap<>();
    rows = new StringBuilder();
    count = 0;
  }

  @ProcessElement
  public void process(@Element String line, ProcessContext context) {
    try {
      Payment payment = Payment.parse(line);
      add(tiles[0], payment.card(), payment);
      add(tiles[1], payment.merchant(), payment);
      add(tiles[2], payment.device(), payment);
      if (keepsHistory) HistoryFn.append(rows, payment);
    } catch (IOException | RuntimeException error) {
      bad.inc();
    }
    if (++count >= most) {
      emit(new Output() {
        @Override
        public <T> void output(TupleTag<T> tag, T value) {
          context.output(tag, value);
        }
      });
    }
  }

  @FinishBundle
  public void finish(FinishBundleContext context) {
    emit(new Output() {
      @Override
      public <T> void output(TupleTag<T> tag, T value) {
        context.output(tag, value, Instant.EPOCH, GlobalWindow.INSTANCE);
      }
    });
  }

  private interface Output {
    <T> void output(TupleTag<T> tag, T value);
  }

  private void add(Map<String, Map<Long, Stats>>[] own, String key, Payment payment) {
    for (int size = 0; size < sizes.length; size++) {
      long start = payment.at() - Math.floorMod(payment.at(), sizes[size]);
      own[size].computeIfAbsent(key, any -> new HashMap<>(4)).computeIfAbsent(start, any -> new Stats()).add(payment.amount());
    }
  }

  private void emit(Output output) {
    for (int view = 0; view < VIEWS; view++) {
      for (int size = 0; size < sizes.length; size++) {
        for (Map.Entry<String, Map<Long, Stats>> entity : tiles[view][size].entrySet()) {
          byte[] key = (view + entity.getKey()).getBytes(StandardCharsets.UTF_8);
          for (Map.Entry<Long, Stats> tile : entity.getValue().entrySet()) {
            output.output(partials, KV.of(key, new StoreFn.Tile(sizes[size], tile.getKey(), tile.getValue())));
          }
        }
        tiles[view][size].clear();
      }
    }
    if (keepsHistory && rows.length() > 0) output.output(history, rows.toString());
    rows.setLength(0);
    count = 0;
  }
}
