package io.millrace.beam;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Writes what the script's byte reader reads: LEB128 varints, zigzag, texts and bytes with their length before them. */
final class FrameWriter {
  private byte[] bytes;
  private int at = 0;

  FrameWriter() {
    this(1024);
  }

  /** With room for so many bytes; it grows where it must. */
  FrameWriter(int room) {
    bytes = new byte[room];
  }

  void reset() {
    at = 0;
  }

  /** Goes back to an earlier size. */
  void truncate(int size) {
    at = size;
  }

  int size() {
    return at;
  }

  void varint(long value) {
    reserve(10);
    long rest = value;
    while (rest >= 128) {
      bytes[at++] = (byte) (rest & 127 | 128);
      rest >>>= 7;
    }
    bytes[at++] = (byte) rest;
  }

  void zigzag(long value) {
    varint(value << 1 ^ value >> 63);
  }

  void bytes(byte[] value) {
    varint(value.length);
    raw(value, 0, value.length);
  }

  void string(String value) {
    bytes(value.getBytes(StandardCharsets.UTF_8));
  }

  void raw(byte[] value, int from, int length) {
    reserve(length);
    System.arraycopy(value, from, bytes, at, length);
    at += length;
  }

  byte[] toBytes() {
    return Arrays.copyOf(bytes, at);
  }

  private void reserve(int more) {
    if (at + more > bytes.length) bytes = Arrays.copyOf(bytes, Math.max(at + more, bytes.length * 2));
  }
}
