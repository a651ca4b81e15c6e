package payments;

import java.io.IOException;
import java.io.StringReader;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.time.Instant;
import org.apache.beam.sdk.transforms.DoFn;
import org.postgresql.PGConnection;

/** Adds payments to a table by COPY: each batch again if it is repeated. */
final class HistoryFn extends DoFn<String, Void> {
  private final String url;
  private transient Connection connection;

  HistoryFn(String url) {
    this.url = url;
  }

  static void append(StringBuilder rows, Payment payment) {
    rows.append(payment.id()).append('\t').append(payment.card()).append('\t').append(payment.merchant()).append('\t');
    rows.append(payment.device()).append('\t').append(payment.amount()).append('\t').append(payment.country());
    rows.append('\t').append(Instant.ofEpochMilli(payment.at())).append('\n');
  }

  @Setup
  public void open() throws SQLException {
    connection = DriverManager.getConnection(url);
  }

  @ProcessElement
  public void process(@Element String rows) throws SQLException, IOException {
    connection.unwrap(PGConnection.class).getCopyAPI().copyIn("COPY payments_by_hand FROM STDIN", new StringReader(rows));
  }

  @Teardown
  public void close() throws SQLException {
    connection.close();
  }
}
