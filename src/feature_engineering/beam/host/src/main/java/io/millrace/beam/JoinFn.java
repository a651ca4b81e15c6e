package io.millrace.beam;

import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.values.KV;

/** All tiles of an entity one behind the other, in batch: the script adds up those that are parts of one. */
final class JoinFn extends DoFn<KV<byte[], Iterable<byte[]>>, KV<byte[], byte[]>> {
  @ProcessElement
  public void process(@Element KV<byte[], Iterable<byte[]>> entity, OutputReceiver<KV<byte[], byte[]>> out) {
    byte[] only = null;
    FrameWriter joined = null;
    for (byte[] tiles : entity.getValue()) {
      if (only == null) {
        only = tiles;
        continue;
      }
      if (joined == null) {
        joined = new FrameWriter(2 * (only.length + tiles.length));
        joined.raw(only, 0, only.length);
      }
      joined.raw(tiles, 0, tiles.length);
    }
    out.output(KV.of(entity.getKey(), joined == null ? only : joined.toBytes()));
  }
}
