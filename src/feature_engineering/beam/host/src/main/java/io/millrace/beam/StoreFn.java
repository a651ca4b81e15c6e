package io.millrace.beam;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.values.KV;

/** Has the script merge tiles into the stored values of their entities, and writes these by compare-and-set. */
final class StoreFn extends DoFn<KV<byte[], byte[]>, Void> {
  private static final int ELEMENTS = 20_000;
  private static final int BYTES = 16 << 20;
  private static final int ENTITIES = 500;
  private static final int ROUNDS = 100;
  private final JobFile job;
  private final String source;
  private final boolean streamClock;
  private final boolean adds;
  private final Tally tiles;
  private final Tally writes;
  private final Tally conflicts;
  private transient ValueStore store;
  private transient Map<ByteBuffer, List<byte[]>> waiting;
  private transient int count;
  private transient int size;

  /** `adds`: all tiles of an entity come once, in parts; else they come again and again, as they grow. */
  StoreFn(JobFile job, String source, boolean streamClock, boolean adds) {
    this.job = job;
    this.source = source;
    this.streamClock = streamClock;
    this.adds = adds;
    tiles = new Tally(source, "tiles");
    writes = new Tally(source, "writes");
    conflicts = new Tally(source, "conflicts");
  }

  @Setup
  public void open() {
    store = new ValueStore(job.get("online"));
  }

  @Teardown
  public void close() {
    if (store != null) store.close();
  }

  @StartBundle
  public void start() {
    waiting = new LinkedHashMap<>();
    count = 0;
    size = 0;
  }

  @ProcessElement
  public void process(@Element KV<byte[], byte[]> tile) {
    // State of an earlier plan may have tiles of views that this one does not have.
    if (!store.has(EntityKey.viewOf(tile.getKey()))) return;
    waiting.computeIfAbsent(ByteBuffer.wrap(tile.getKey()), key -> new ArrayList<>()).add(tile.getValue());
    size += tile.getValue().length;
    if (++count >= ELEMENTS || size >= BYTES) flush();
  }

  @FinishBundle
  public void flush() {
    List<ByteBuffer> entities = new ArrayList<>(waiting.keySet());
    for (int from = 0; from < entities.size(); from += ENTITIES) {
      List<ByteBuffer> part = entities.subList(from, Math.min(entities.size(), from + ENTITIES));
      for (int round = 0; !part.isEmpty(); round++) {
        if (round == ROUNDS) {
          throw new IllegalStateException("Values were changed by another writer " + ROUNDS + " times in a row: one view version must have one kind of writer.");
        }
        part = write(part, round == 0);
        conflicts.inc(part.size());
      }
    }
    waiting.clear();
    count = 0;
    size = 0;
  }

  /** Returns those whose values another writer changed meanwhile. */
  private List<ByteBuffer> write(List<ByteBuffer> entities, boolean first) {
    List<EntityKey> keys = new ArrayList<>(entities.size());
    for (ByteBuffer entity : entities) keys.add(EntityKey.of(entity.array()));
    List<byte[]> stored = store.read(keys);
    FrameWriter frame = new FrameWriter();
    frame.zigzag(System.currentTimeMillis());
    frame.zigzag(streamClock ? store.clock(source) : 0);
    frame.varint(job.generation());
    frame.varint(adds ? 1 : 0);
    frame.varint(entities.size());
    for (int i = 0; i < entities.size(); i++) {
      frame.raw(entities.get(i).array(), 0, EntityKey.HEAD);
      frame.bytes(ValueStore.valueOf(stored.get(i)));
      List<byte[]> own = waiting.get(entities.get(i));
      long length = 0;
      for (byte[] part : own) length += part.length;
      frame.varint(length);
      for (byte[] part : own) frame.raw(part, 0, part.length);
    }
    FrameReader merged = new FrameReader(ScriptPool.call(job, "merge", "", frame.toBytes()));
    List<ValueWrite> changed = new ArrayList<>();
    long latest = Long.MIN_VALUE;
    for (int i = 0; i < entities.size(); i++) {
      byte[] value = merged.bytes();
      long expiresAt = merged.zigzag();
      latest = Math.max(latest, merged.zigzag());
      if (value.length > 0) changed.add(new ValueWrite(entities.get(i), keys.get(i), stored.get(i), value, expiresAt));
    }
    if (first) tiles.inc(merged.varint());
    List<ByteBuffer> refused = store.write(changed);
    writes.inc(changed.size() - refused.size());
    if (latest > Long.MIN_VALUE) Tally.raise(source, "newest_event_ms", latest);
    if (streamClock && refused.isEmpty()) store.raiseClock(source, latest + 1);
    return refused;
  }

  /** The number of a view's version and the entity's encoded key. */
  record EntityKey(int view, byte[] key) {
    static final int HEAD = 4;

    static EntityKey of(byte[] bytes) {
      return new EntityKey(viewOf(bytes), Arrays.copyOfRange(bytes, HEAD, bytes.length));
    }

    static int viewOf(byte[] bytes) {
      return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getInt();
    }
  }

  record ValueWrite(ByteBuffer entity, EntityKey key, byte[] stored, byte[] value, long expiresAt) {}
}
