package io.millrace.beam;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.zip.GZIPInputStream;

/** A message's bytes without its transport's compression, or why there are none. */
record Unpacked(byte[] bytes, String failure) {
  /** One message must not fill the memory. */
  private static final int MOST_BYTES = 64 << 20;

  /** Gzip is told by the header, or where no plain message begins so by its first bytes. */
  static boolean isGzip(RawMessage message, boolean byFirstBytes) {
    byte[] value = message.value();
    if (value == null) return false;
    if (byFirstBytes && value.length > 2 && value[0] == 0x1f && (value[1] & 255) == 0x8b) return true;
    String said = message.headers().getOrDefault("content-encoding", message.headers().get("Content-Encoding"));
    return said != null && said.equalsIgnoreCase("gzip");
  }

  static Unpacked of(RawMessage message, boolean byFirstBytes) {
    if (!isGzip(message, byFirstBytes)) return new Unpacked(message.value(), null);
    try (InputStream in = new GZIPInputStream(new ByteArrayInputStream(message.value()))) {
      byte[] bytes = in.readNBytes(MOST_BYTES + 1);
      if (bytes.length > MOST_BYTES) return new Unpacked(null, "it unpacks to more than " + MOST_BYTES + " bytes");
      return new Unpacked(bytes, null);
    } catch (IOException error) {
      return new Unpacked(null, "it is no whole gzip stream: " + error.getMessage());
    }
  }
}
