package io.millrace.beam;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** Positions of transports whose own are no numbers. */
final class Position {
  private Position() {}

  /**
   * 53 bits that are the same whenever a record is read. History tells records by them together with what is in them, so
   * that two records of one number are two rows.
   */
  static long of(String record) {
    try {
      byte[] hash = MessageDigest.getInstance("SHA-256").digest(record.getBytes(StandardCharsets.UTF_8));
      return ByteBuffer.wrap(hash).getLong() >>> 11;
    } catch (NoSuchAlgorithmException error) {
      throw new IllegalStateException("Java has no SHA-256.", error);
    }
  }
}
