package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import io.millrace.beam.StoreFn.EntityKey;
import io.millrace.beam.StoreFn.ValueWrite;
import java.io.Closeable;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import javax.net.ssl.SSLParameters;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.JedisCluster;
import redis.clients.jedis.JedisPooled;
import redis.clients.jedis.UnifiedJedis;
import redis.clients.jedis.util.JedisClusterCRC16;

/** The hot store's values in Redis, one server or a cluster: framed by magic, version and a revision, which compare-and-set checks. */
final class ValueStore implements Closeable {
  private static final int HEADER = 8;
  private static final int VALUES_PER_CALL = 256;
  private static final byte[] NONE = new byte[0];
  private final UnifiedJedis redis;
  /** By view, then by shard: what is before an entity's key. */
  private final Map<Integer, List<byte[]>> prefixes = new HashMap<>();
  private final Map<Integer, byte[]> keyspaces = new HashMap<>();
  /** By shard. */
  private final List<byte[]> writers;
  private final List<byte[]> registry;
  private final byte[] facts;
  private final byte[] writeScript;
  private final byte[] clockScript;

  ValueStore(JsonNode online) {
    redis = connect(online);
    for (JsonNode view : online.get("views")) {
      int number = (int) view.get("number").asLong();
      prefixes.put(number, texts(view.get("prefixes")));
      keyspaces.put(number, utf8(view.get("keyspace").asText()));
    }
    writers = texts(online.get("writers"));
    registry = texts(online.get("registry"));
    facts = utf8(online.get("facts").asText());
    writeScript = utf8(online.get("write_script").asText());
    clockScript = utf8(online.get("clock_script").asText());
  }

  private static UnifiedJedis connect(JsonNode online) {
    DefaultJedisClientConfig.Builder config =
        DefaultJedisClientConfig.builder()
            .database(online.path("database").asInt(0))
            .socketTimeoutMillis(10_000)
            .user(online.path("username").asText(null))
            .password(online.path("password").asText(null));
    JsonNode tls = online.path("tls");
    if (tls.isObject()) {
      SSLParameters parameters = new SSLParameters();
      if (Tls.verifies(tls)) parameters.setEndpointIdentificationAlgorithm("HTTPS");
      config.ssl(true).sslSocketFactory(Tls.contextOf(tls).getSocketFactory()).sslParameters(parameters);
    }
    Set<HostAndPort> nodes = new LinkedHashSet<>();
    for (JsonNode node : online.get("nodes")) nodes.add(new HostAndPort(node.get("host").asText(), node.get("port").asInt()));
    return online.get("cluster").asBoolean()
        ? new JedisCluster(nodes, config.build())
        : new JedisPooled(nodes.iterator().next(), config.build());
  }

  private static List<byte[]> texts(JsonNode list) {
    List<byte[]> texts = new ArrayList<>();
    for (JsonNode text : list) texts.add(utf8(text.asText()));
    return texts;
  }

  boolean has(int view) {
    return prefixes.containsKey(view);
  }

  /** The values as they are stored, null where there is none. */
  List<byte[]> read(List<EntityKey> keys) {
    Map<Integer, List<Integer>> byShard = new TreeMap<>();
    for (int i = 0; i < keys.size(); i++) {
      byShard.computeIfAbsent(shardOf(keys.get(i)), shard -> new ArrayList<>()).add(i);
    }
    byte[][] values = new byte[keys.size()][];
    for (List<Integer> own : byShard.values()) {
      List<byte[]> found = redis.mget(own.stream().map(i -> nameOf(keys.get(i))).toArray(byte[][]::new));
      for (int i = 0; i < found.size(); i++) values[own.get(i)] = found.get(i);
    }
    return Arrays.asList(values);
  }

  /** Keys of a shard lie in one slot of a cluster. */
  private int shardOf(EntityKey key) {
    return writers.size() == 1 ? 0 : JedisClusterCRC16.getCRC16(key.key()) & writers.size() - 1;
  }

  static byte[] valueOf(byte[] stored) {
    return stored == null ? NONE : Arrays.copyOfRange(stored, HEADER, stored.length);
  }

  /** Writes what still is as it was read; returns the entities of the others. */
  List<ByteBuffer> write(List<ValueWrite> writes) {
    record Place(int view, int shard) {}
    Map<Place, List<ValueWrite>> byPlace = new HashMap<>();
    for (ValueWrite write : writes) {
      Place place = new Place(write.key().view(), shardOf(write.key()));
      byPlace.computeIfAbsent(place, any -> new ArrayList<>()).add(write);
    }
    List<ByteBuffer> refused = new ArrayList<>();
    byPlace.forEach(
        (place, own) -> {
          for (int from = 0; from < own.size(); from += VALUES_PER_CALL) {
            List<ValueWrite> part = own.subList(from, Math.min(own.size(), from + VALUES_PER_CALL));
            refused.addAll(write(place.view(), place.shard(), part));
          }
        });
    return refused;
  }

  private List<ByteBuffer> write(int view, int shard, List<ValueWrite> writes) {
    List<byte[]> keys = new ArrayList<>(List.of(writers.get(shard), registry.get(shard)));
    List<byte[]> args = new ArrayList<>(List.of(NONE, NONE, NONE, NONE, keyspaces.get(view), utf8("1")));
    for (ValueWrite write : writes) {
      keys.add(nameOf(write.key()));
      byte[] header = write.stored() == null ? NONE : Arrays.copyOf(write.stored(), HEADER);
      args.add(header);
      args.add(framed(header, write.value()));
      args.add(write.expiresAt() == 0 ? NONE : utf8(Long.toString(write.expiresAt())));
    }
    Object reply = redis.eval(writeScript, keys, args);
    List<ByteBuffer> refused = new ArrayList<>();
    for (Object index : (List<?>) reply) refused.add(writes.get(((Long) index).intValue()).entity());
    return refused;
  }

  /** The first instant after the largest event time that was applied; the least long if there is none. */
  long clock(String source) {
    byte[] known = redis.hget(facts, utf8("clock/" + source));
    return known == null ? -(1L << 52) : Long.parseLong(new String(known, StandardCharsets.UTF_8));
  }

  void raiseClock(String source, long clock) {
    redis.eval(clockScript, List.of(facts), List.of(utf8("clock/" + source), utf8(Long.toString(clock))));
  }

  private byte[] nameOf(EntityKey key) {
    byte[] prefix = prefixes.get(key.view()).get(shardOf(key));
    byte[] name = Arrays.copyOf(prefix, prefix.length + key.key().length);
    System.arraycopy(key.key(), 0, name, prefix.length, key.key().length);
    return name;
  }

  /** The value with the next revision before it. */
  private static byte[] framed(byte[] header, byte[] value) {
    ByteBuffer bytes = ByteBuffer.allocate(HEADER + value.length);
    long revision = header.length == 0 ? 0 : ByteBuffer.wrap(header).getLong() & 0xffff_ffff_ffffL;
    bytes.putLong(0xf501_0000_0000_0000L | revision + 1);
    bytes.put(value);
    return bytes.array();
  }

  private static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  @Override
  public void close() {
    redis.close();
  }
}
