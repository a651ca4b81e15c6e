package io.millrace.beam;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Reads what the script's byte writer wrote. */
final class FrameReader {
  private final byte[] bytes;
  private int at = 0;

  FrameReader(byte[] bytes) {
    this.bytes = bytes;
  }

  int u8() {
    return bytes[at++] & 255;
  }

  long varint() {
    long result = 0;
    for (int shift = 0; ; shift += 7) {
      byte next = bytes[at++];
      result |= (long) (next & 127) << shift;
      if (next >= 0) return result;
    }
  }

  long zigzag() {
    long value = varint();
    return value >>> 1 ^ -(value & 1);
  }

  byte[] raw(int length) {
    at += length;
    return Arrays.copyOfRange(bytes, at - length, at);
  }

  byte[] bytes() {
    return raw((int) varint());
  }

  byte[] rest() {
    return raw(bytes.length - at);
  }

  String string() {
    int length = (int) varint();
    at += length;
    return new String(bytes, at - length, length, StandardCharsets.UTF_8);
  }
}
