package payments;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.values.KV;
import redis.clients.jedis.Jedis;

/**
 * Merges what bundles add to the tiles of an entity, and puts these into its value in Redis, by compare-and-set on a
 * revision. A value: the revision (8 bytes), then of each tile its size, its start (8 bytes each) and its stats. A tile
 * that is there with as many events stays.
 */
final class StoreFn extends DoFn<KV<byte[], Iterable<StoreFn.Tile>>, Void> {
  record Tile(long size, long start, Stats stats) {}

  private static final int ENTITIES = 500;
  private static final byte[] NONE = new byte[0];
  private static final byte[] WRITE =
      """
      local refused = {}
      for i = 1, #KEYS do
        local known = redis.call('GET', KEYS[i])
        if (known and string.sub(known, 1, 8) or '') == ARGV[2 * i - 1] then redis.call('SET', KEYS[i], ARGV[2 * i])
        else refused[#refused + 1] = i - 1 end
      end
      return refused
      """
          .getBytes(StandardCharsets.UTF_8);

  private final String host;
  private final int port;
  private final String prefix;
  private transient Jedis redis;
  private transient Map<ByteBuffer, Collection<Tile>> waiting;

  StoreFn(String host, int port, String prefix) {
    this.host = host;
    this.port = port;
    this.prefix = prefix;
  }

  @Setup
  public void open() {
    redis = new Jedis(host, port);
  }

  @Teardown
  public void close() {
    redis.close();
  }

  @StartBundle
  public void start() {
    waiting = new LinkedHashMap<>();
  }

  @ProcessElement
  public void process(@Element KV<byte[], Iterable<Tile>> entity) throws IOException {
    Map<Long, Map<Long, Tile>> tiles = new HashMap<>(4);
    List<Tile> own = new ArrayList<>();
    for (Tile partial : entity.getValue()) {
      Tile known = tiles.computeIfAbsent(partial.size(), any -> new HashMap<>()).putIfAbsent(partial.start(), partial);
      if (known == null) own.add(partial);
      else known.stats().merge(partial.stats());
    }
    waiting.put(ByteBuffer.wrap(entity.getKey()), own);
    if (waiting.size() >= ENTITIES) flush();
  }

  @FinishBundle
  public void flush() throws IOException {
    List<ByteBuffer> entities = new ArrayList<>(waiting.keySet());
    while (!entities.isEmpty()) entities = write(entities);
    waiting.clear();
  }

  private List<ByteBuffer> write(List<ByteBuffer> entities) throws IOException {
    byte[][] names = new byte[entities.size()][];
    for (int i = 0; i < names.length; i++) names[i] = nameOf(entities.get(i).array());
    List<byte[]> stored = redis.mget(names);
    List<byte[]> args = new ArrayList<>(2 * names.length);
    for (int i = 0; i < names.length; i++) {
      byte[] known = stored.get(i);
      args.add(known == null ? NONE : Arrays.copyOf(known, 8));
      args.add(merge(known, waiting.get(entities.get(i))));
    }
    List<ByteBuffer> refused = new ArrayList<>();
    for (Object index : (List<?>) redis.eval(WRITE, Arrays.asList(names), args)) {
      refused.add(entities.get(((Long) index).intValue()));
    }
    return refused;
  }

  private static byte[] merge(byte[] known, Collection<Tile> tiles) throws IOException {
    Map<Long, TreeMap<Long, Stats>> all = new HashMap<>(4);
    long revision = 1;
    if (known != null) {
      DataInputStream in = new DataInputStream(new ByteArrayInputStream(known));
      revision = in.readLong() + 1;
      while (in.available() > 0) put(all, in.readLong(), in.readLong(), Stats.read(in));
    }
    for (Tile tile : tiles) put(all, tile.size(), tile.start(), tile.stats());
    ByteArrayOutputStream bytes = new ByteArrayOutputStream(1024);
    DataOutputStream out = new DataOutputStream(bytes);
    out.writeLong(revision);
    for (Map.Entry<Long, TreeMap<Long, Stats>> size : all.entrySet()) {
      for (Map.Entry<Long, Stats> tile : size.getValue().entrySet()) {
        out.writeLong(size.getKey());
        out.writeLong(tile.getKey());
        tile.getValue().write(out);
      }
    }
    return bytes.toByteArray();
  }

  private static void put(Map<Long, TreeMap<Long, Stats>> all, long size, long start, Stats stats) {
    all.computeIfAbsent(size, any -> new TreeMap<>())
        .merge(start, stats, (known, later) -> later.count > known.count ? later : known);
  }

  private byte[] nameOf(byte[] key) {
    return (prefix + new String(key, StandardCharsets.UTF_8)).getBytes(StandardCharsets.UTF_8);
  }

  static final class TileCoder extends org.apache.beam.sdk.coders.AtomicCoder<Tile> {
    @Override
    public void encode(Tile tile, java.io.OutputStream out) throws IOException {
      DataOutputStream data = new DataOutputStream(out);
      data.writeLong(tile.size);
      data.writeLong(tile.start);
      tile.stats.write(data);
    }

    @Override
    public Tile decode(java.io.InputStream in) throws IOException {
      DataInputStream data = new DataInputStream(in);
      return new Tile(data.readLong(), data.readLong(), Stats.read(data));
    }
  }
}
