package io.millrace.beam;

import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.transforms.windowing.BoundedWindow;
import org.apache.beam.sdk.transforms.windowing.IntervalWindow;
import org.apache.beam.sdk.values.KV;

/** Puts the start of a tile's window before its partials. */
final class StampFn extends DoFn<KV<byte[], byte[]>, KV<byte[], byte[]>> {
  @ProcessElement
  public void process(@Element KV<byte[], byte[]> tile, BoundedWindow window, OutputReceiver<KV<byte[], byte[]>> out) {
    // A window that ends fires even where its state is gone.
    if (tile.getValue().length == 0) return;
    long start = window instanceof IntervalWindow interval ? interval.start().getMillis() : 0;
    out.output(KV.of(tile.getKey(), stamped(start, tile.getValue())));
  }

  static byte[] stamped(long start, byte[] partials) {
    FrameWriter stamped = new FrameWriter(partials.length + 15);
    stamped.zigzag(start);
    stamped.bytes(partials);
    return stamped.toBytes();
  }
}
