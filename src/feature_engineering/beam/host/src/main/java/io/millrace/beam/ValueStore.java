package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import io.millrace.beam.StoreFn.EntityKey;
import io.millrace.beam.StoreFn.ValueWrite;
import java.io.Closeable;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisClientConfig;
import redis.clients.jedis.util.JedisURIHelper;

/** The hot store's values in Redis: framed by magic, version and a revision, which compare-and-set checks. */
final class ValueStore implements Closeable {
  private static final int HEADER = 8;
  private static final int VALUES_PER_CALL = 256;
  private static final byte[] NONE = new byte[0];
  private final Jedis redis;
  private final Map<Integer, byte[]> prefixes = new HashMap<>();
  private final Map<Integer, byte[]> keyspaces = new HashMap<>();
  private final byte[] writers;
  private final byte[] registry;
  private final byte[] facts;
  private final byte[] writeScript;
  private final byte[] clockScript;

  ValueStore(JsonNode online) {
    URI uri = URI.create(online.get("url").asText());
    DefaultJedisClientConfig.Builder config =
        DefaultJedisClientConfig.builder()
            .ssl(JedisURIHelper.isRedisSSLScheme(uri))
            .database(JedisURIHelper.getDBIndex(uri))
            .socketTimeoutMillis(10_000);
    JsonNode user = online.path("username");
    JsonNode password = online.path("password");
    config.user(user.isTextual() ? user.asText() : JedisURIHelper.getUser(uri));
    config.password(password.isTextual() ? password.asText() : JedisURIHelper.getPassword(uri));
    JedisClientConfig built = config.build();
    redis = new Jedis(new HostAndPort(uri.getHost(), uri.getPort() < 0 ? 6379 : uri.getPort()), built);
    for (JsonNode view : online.get("views")) {
      int number = (int) view.get("number").asLong();
      prefixes.put(number, utf8(view.get("prefix").asText()));
      keyspaces.put(number, utf8(view.get("keyspace").asText()));
    }
    writers = utf8(online.get("writers").asText());
    registry = utf8(online.get("registry").asText());
    facts = utf8(online.get("facts").asText());
    writeScript = utf8(online.get("write_script").asText());
    clockScript = utf8(online.get("clock_script").asText());
  }

  boolean has(int view) {
    return prefixes.containsKey(view);
  }

  /** The values as they are stored, null where there is none. */
  List<byte[]> read(List<EntityKey> keys) {
    if (keys.isEmpty()) return List.of();
    return redis.mget(keys.stream().map(this::nameOf).toArray(byte[][]::new));
  }

  static byte[] valueOf(byte[] stored) {
    return stored == null ? NONE : Arrays.copyOfRange(stored, HEADER, stored.length);
  }

  /** Writes what still is as it was read; returns the entities of the others. */
  List<ByteBuffer> write(List<ValueWrite> writes) {
    Map<Integer, List<ValueWrite>> byView = new TreeMap<>();
    for (ValueWrite write : writes) byView.computeIfAbsent(write.key().view(), view -> new ArrayList<>()).add(write);
    List<ByteBuffer> refused = new ArrayList<>();
    byView.forEach(
        (view, own) -> {
          for (int from = 0; from < own.size(); from += VALUES_PER_CALL) {
            refused.addAll(write(view, own.subList(from, Math.min(own.size(), from + VALUES_PER_CALL))));
          }
        });
    return refused;
  }

  private List<ByteBuffer> write(int view, List<ValueWrite> writes) {
    List<byte[]> keys = new ArrayList<>(List.of(writers, registry));
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
    byte[] prefix = prefixes.get(key.view());
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
