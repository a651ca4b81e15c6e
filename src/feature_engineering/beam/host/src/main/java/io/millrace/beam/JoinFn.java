package io.millrace.beam;

import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.values.KV;

/**
 * Sorts all partials of an entity by their tiles, in batch: takes the branch and the start of a tile before each, and
 * gives the tiles as {@link StampFn} does.
 */
final class JoinFn extends DoFn<KV<byte[], Iterable<byte[]>>, KV<byte[], byte[]>> {
  private record Place(long branch, long start) {}

  @ProcessElement
  public void process(@Element KV<byte[], Iterable<byte[]>> entity, OutputReceiver<KV<byte[], byte[]>> out) {
    Map<Place, FrameWriter> tiles = new LinkedHashMap<>();
    for (byte[] placed : entity.getValue()) {
      FrameReader partial = new FrameReader(placed);
      Place place = new Place(partial.varint(), partial.zigzag());
      byte[] bytes = partial.rest();
      tiles.computeIfAbsent(place, any -> new FrameWriter(bytes.length)).raw(bytes, 0, bytes.length);
    }
    tiles.forEach((place, partials) -> out.output(KV.of(entity.getKey(), StampFn.stamped(place.start(), partials.toBytes()))));
  }

  static byte[] placed(int branch, long start, byte[] partial) {
    FrameWriter placed = new FrameWriter(partial.length + 12);
    placed.varint(branch);
    placed.zigzag(start);
    placed.raw(partial, 0, partial.length);
    return placed.toBytes();
  }
}
