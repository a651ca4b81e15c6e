package io.millrace.beam;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.Map;
import org.apache.beam.sdk.coders.AtomicCoder;
import org.apache.beam.sdk.coders.ByteArrayCoder;
import org.apache.beam.sdk.coders.MapCoder;
import org.apache.beam.sdk.coders.StringUtf8Coder;
import org.apache.beam.sdk.coders.VarLongCoder;

/**
 * A message as a transport delivers it: its position, when it arrived (ms, −1: unknown), its bytes (null: a tombstone),
 * and why it is none (null: it may be one).
 */
record RawMessage(
    String partition,
    String header,
    long offset,
    long arrival,
    Map<String, String> headers,
    byte[] value,
    String failure) {
  RawMessage(
      String partition, String header, long offset, long arrival, Map<String, String> headers, byte[] value) {
    this(partition, header, offset, arrival, headers, value, null);
  }

  RawMessage(String partition, String header, long offset, long arrival, byte[] value) {
    this(partition, header, offset, arrival, Map.of(), value);
  }

  static final class Coder extends AtomicCoder<RawMessage> {
    private static final byte[] NONE = new byte[0];
    private static final MapCoder<String, String> HEADERS = MapCoder.of(StringUtf8Coder.of(), StringUtf8Coder.of());

    @Override
    public void encode(RawMessage message, OutputStream out) throws IOException {
      StringUtf8Coder.of().encode(message.partition, out);
      StringUtf8Coder.of().encode(message.header, out);
      VarLongCoder.of().encode(message.offset, out);
      VarLongCoder.of().encode(message.arrival, out);
      boolean plain = message.headers.isEmpty();
      out.write((message.value == null ? 0 : 1) | (plain ? 0 : 2) | (message.failure == null ? 0 : 4));
      if (!plain) HEADERS.encode(message.headers, out);
      if (message.failure != null) StringUtf8Coder.of().encode(message.failure, out);
      ByteArrayCoder.of().encode(message.value == null ? NONE : message.value, out);
    }

    @Override
    public RawMessage decode(InputStream in) throws IOException {
      String partition = StringUtf8Coder.of().decode(in);
      String header = StringUtf8Coder.of().decode(in);
      long offset = VarLongCoder.of().decode(in);
      long arrival = VarLongCoder.of().decode(in);
      int kind = in.read();
      Map<String, String> headers = (kind & 2) == 0 ? Map.of() : HEADERS.decode(in);
      String failure = (kind & 4) == 0 ? null : StringUtf8Coder.of().decode(in);
      byte[] value = ByteArrayCoder.of().decode(in);
      return new RawMessage(partition, header, offset, arrival, headers, (kind & 1) == 0 ? null : value, failure);
    }

    @Override
    public void verifyDeterministic() {}
  }
}
