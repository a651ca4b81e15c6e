package payments;

import org.apache.beam.sdk.coders.Coder;
import org.apache.beam.sdk.coders.CoderRegistry;
import org.apache.beam.sdk.transforms.Combine.CombineFn;

/** Merges what bundles add to a tile. */
final class MergeFn extends CombineFn<Stats, Stats, Stats> {
  @Override
  public Stats createAccumulator() {
    return new Stats();
  }

  @Override
  public Stats addInput(Stats stats, Stats more) {
    stats.merge(more);
    return stats;
  }

  @Override
  public Stats mergeAccumulators(Iterable<Stats> all) {
    Stats merged = new Stats();
    for (Stats one : all) merged.merge(one);
    return merged;
  }

  @Override
  public Stats extractOutput(Stats stats) {
    return stats;
  }

  @Override
  public Coder<Stats> getAccumulatorCoder(CoderRegistry registry, Coder<Stats> input) {
    return new Stats.Coder();
  }

  @Override
  public Coder<Stats> getDefaultOutputCoder(CoderRegistry registry, Coder<Stats> input) {
    return new Stats.Coder();
  }
}
