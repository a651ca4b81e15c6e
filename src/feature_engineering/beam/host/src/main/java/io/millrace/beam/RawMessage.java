package io.millrace.beam;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import org.apache.beam.sdk.coders.AtomicCoder;
import org.apache.beam.sdk.coders.ByteArrayCoder;
import org.apache.beam.sdk.coders.StringUtf8Coder;
import org.apache.beam.sdk.coders.VarLongCoder;

/** A message as a transport delivers it: its position, when it arrived (ms, −1: unknown), its bytes (null: a tombstone). */
record RawMessage(String partition, String header, long offset, long arrival, byte[] value) {
  static final class Coder extends AtomicCoder<RawMessage> {
    private static final byte[] NONE = new byte[0];

    @Override
    public void encode(RawMessage message, OutputStream out) throws IOException {
      StringUtf8Coder.of().encode(message.partition, out);
      StringUtf8Coder.of().encode(message.header, out);
      VarLongCoder.of().encode(message.offset, out);
      VarLongCoder.of().encode(message.arrival, out);
      out.write(message.value == null ? 0 : 1);
      ByteArrayCoder.of().encode(message.value == null ? NONE : message.value, out);
    }

    @Override
    public RawMessage decode(InputStream in) throws IOException {
      String partition = StringUtf8Coder.of().decode(in);
      String header = StringUtf8Coder.of().decode(in);
      long offset = VarLongCoder.of().decode(in);
      long arrival = VarLongCoder.of().decode(in);
      boolean present = in.read() == 1;
      byte[] value = ByteArrayCoder.of().decode(in);
      return new RawMessage(partition, header, offset, arrival, present ? value : null);
    }

    @Override
    public void verifyDeterministic() {}
  }
}
