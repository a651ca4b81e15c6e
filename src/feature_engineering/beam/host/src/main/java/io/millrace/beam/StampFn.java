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
    FrameWriter stamped = new FrameWriter();
    stamped.zigzag(window instanceof IntervalWindow interval ? interval.start().getMillis() : 0);
    stamped.bytes(tile.getValue());
    out.output(KV.of(tile.getKey(), stamped.toBytes()));
  }
}
