package payments;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.Arrays;
import org.apache.beam.sdk.coders.AtomicCoder;
import org.apache.beam.sdk.util.VarInt;

/** Count, largest and exact sum of amounts: the sum as a nonoverlapping expansion (Shewchuk), as math.fsum keeps it. */
final class Stats {
  long count = 0;
  double largest = Double.NEGATIVE_INFINITY;
  double[] parts = new double[4];
  int length = 0;

  void add(double amount) {
    count++;
    if (amount > largest) largest = amount;
    grow(amount);
  }

  void merge(Stats other) {
    count += other.count;
    if (other.largest > largest) largest = other.largest;
    for (int i = 0; i < other.length; i++) grow(other.parts[i]);
  }

  private void grow(double value) {
    double x = value;
    int kept = 0;
    for (int i = 0; i < length; i++) {
      double y = parts[i];
      if (Math.abs(x) < Math.abs(y)) {
        double swap = x;
        x = y;
        y = swap;
      }
      double high = x + y;
      double low = y - (high - x);
      if (low != 0) parts[kept++] = low;
      x = high;
    }
    if (kept == parts.length) parts = Arrays.copyOf(parts, kept * 2);
    parts[kept++] = x;
    length = kept;
  }

  void write(DataOutputStream out) throws IOException {
    VarInt.encode(count, out);
    out.writeDouble(largest);
    VarInt.encode(length, out);
    for (int i = 0; i < length; i++) out.writeDouble(parts[i]);
  }

  static Stats read(DataInputStream in) throws IOException {
    Stats stats = new Stats();
    stats.count = VarInt.decodeLong(in);
    stats.largest = in.readDouble();
    stats.length = VarInt.decodeInt(in);
    if (stats.length > stats.parts.length) stats.parts = new double[stats.length];
    for (int i = 0; i < stats.length; i++) stats.parts[i] = in.readDouble();
    return stats;
  }

  static final class Coder extends AtomicCoder<Stats> {
    @Override
    public void encode(Stats stats, OutputStream out) throws IOException {
      stats.write(new DataOutputStream(out));
    }

    @Override
    public Stats decode(InputStream in) throws IOException {
      return read(new DataInputStream(in));
    }
  }
}
