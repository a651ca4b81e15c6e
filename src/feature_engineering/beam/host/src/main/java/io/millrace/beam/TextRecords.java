package io.millrace.beam;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * A file's lines, or its CSV records: cut as the embedded engine cuts them (record-framer.ts). A quote that is never
 * closed, or closed amid a field, spoils its own line only; blank records are none.
 */
final class TextRecords implements FileRecords {
  private static final int LONGEST_LINE = 8 << 20;
  private static final int LONGEST_CSV = 1 << 20;
  /** Characters of an overlong record that are kept. */
  private static final int KEPT = 64 << 10;
  private static final int UNCLOSED = -1;
  private static final int MALFORMED = -2;
  private final InputStream in;
  private final boolean csv;
  /** In UTF-16's units, as all lengths here that are not places. */
  private final int longest;
  private byte[] block = new byte[1 << 16];
  /** The record begins here; places below count from it. */
  private int at = 0;
  private int end = 0;
  private boolean begun = false;
  private boolean quoted = false;
  private String failure = null;

  TextRecords(InputStream in, boolean csv) {
    this.in = in;
    this.csv = csv;
    longest = csv ? LONGEST_CSV : LONGEST_LINE;
  }

  @Override
  public void close() throws IOException {
    in.close();
  }

  @Override
  public String failure() {
    return failure;
  }

  @Override
  public byte[] next() throws IOException {
    failure = null;
    if (!begun) {
      begun = true;
      if (read(0) == 0xef && read(1) == 0xbb && read(2) == 0xbf) at += 3;
    }
    while (read(0) >= 0) {
      int line = lineEnd();
      int to = csv && quoted ? csvEnd() : line;
      if (to == MALFORMED) to = line;
      if (to == UNCLOSED ? isLong(Integer.MAX_VALUE) : isLong(to)) return tooLong(line);
      byte[] record = take(to == UNCLOSED ? line : to);
      if (!isBlank(record)) return record;
    }
    return null;
  }

  /** The byte at a place; −1 behind the end. */
  private int read(int place) throws IOException {
    while (at + place >= end) if (!fill()) return -1;
    return block[at + place] & 255;
  }

  /** Moves what is left to the front and reads more behind it. */
  private boolean fill() throws IOException {
    int kept = end - at;
    byte[] into = kept > block.length / 2 ? new byte[block.length * 2] : block;
    System.arraycopy(block, at, into, 0, kept);
    block = into;
    at = 0;
    end = kept;
    int more = in.read(block, kept, block.length - kept);
    if (more <= 0) return false;
    end += more;
    return true;
  }

  /** Where the line ends, looking no further than any record may be long; says whether it has quotes. */
  private int lineEnd() throws IOException {
    quoted = false;
    for (int place = 0; place <= 3 * longest; place++) {
      if (at + place == end && !fill()) return place;
      byte read = block[at + place];
      if (read == '\n') return place;
      if (read == '"') quoted = true;
    }
    return 3 * longest + 1;
  }

  /** Where a CSV record ends, newlines within quotes passed over. */
  private int csvEnd() throws IOException {
    int length = 0;
    for (int place = 0; ; place++) {
      if (read(place) == '"') {
        length++;
        for (place++; ; place++) {
          int read = read(place);
          if (read < 0 || (length += unitsOf(read)) > longest) return UNCLOSED;
          if (read != '"') continue;
          if (read(place + 1) != '"') break;
          length++;
          place++;
        }
        int after = read(++place);
        if (after < 0) return place;
        if (after != ',' && after != '\n' && after != '\r') return MALFORMED;
      }
      for (; ; place++) {
        int read = read(place);
        if (read < 0 || read == '\n' || length > longest) return place;
        length += unitsOf(read);
        if (read == ',') break;
      }
    }
  }

  /** Whether what comes before a place, or all that is left, is longer than a record may be. */
  private boolean isLong(int to) throws IOException {
    if (to <= longest) return false;
    int length = 0;
    for (int place = 0; place < to && length <= longest; place++) {
      int read = read(place);
      if (read < 0) break;
      length += unitsOf(read);
    }
    return length > longest;
  }

  /** How many of UTF-16's units begin with a byte of UTF-8. */
  private static int unitsOf(int read) {
    return read >= 0xf0 ? 2 : (read & 0xc0) == 0x80 ? 0 : 1;
  }

  /** The beginning of a line, which is passed over. */
  private byte[] tooLong(int line) throws IOException {
    failure = "The record is longer than " + longest + " characters; at most " + KEPT + " of them are kept.";
    int to = 0;
    for (int length = 0; to < line && (length += unitsOf(read(to))) <= KEPT; ) to++;
    byte[] kept = Arrays.copyOfRange(block, at, at + to);
    at += Math.min(line, end - at);
    for (int read; (read = read(0)) >= 0; ) {
      at++;
      if (read == '\n') break;
    }
    return kept;
  }

  private byte[] take(int to) throws IOException {
    int cut = to > 0 && block[at + to - 1] == '\r' ? to - 1 : to;
    byte[] record = Arrays.copyOfRange(block, at, at + cut);
    boolean isLast = read(to) < 0;
    at += isLast ? to : to + 1;
    return record;
  }

  /** As JavaScript's `trim` sees it. */
  private static boolean isBlank(byte[] record) {
    return (record.length == 0 || record[0] <= ' ' && record[0] >= 0)
        && new String(record, StandardCharsets.UTF_8).chars().allMatch(TextRecords::isSpace);
  }

  private static boolean isSpace(int character) {
    return character >= 9 && character <= 13 || character == 0xfeff || Character.isSpaceChar(character);
  }
}
