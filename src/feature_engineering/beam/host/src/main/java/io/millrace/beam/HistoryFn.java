package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.util.Properties;
import org.apache.beam.sdk.transforms.DoFn;

/** Writes each batch to history in one transaction: the launcher's statements, each of which gets the batch as JSON. */
final class HistoryFn extends DoFn<String, Void> {
  private static final int ATTEMPTS = 5;
  private final JobFile job;
  private final String source;
  private transient Connection connection;

  HistoryFn(JobFile job, String source) {
    this.job = job;
    this.source = source;
  }

  @ProcessElement
  public void process(@Element String batch) throws SQLException {
    JsonNode repair = job.get("history").get("repair").get(source);
    for (int attempt = 1; ; attempt++) {
      try {
        if (connection == null) open();
        for (JsonNode statement : job.get("history").get("statements").get(source)) run(statement.asText(), batch);
        connection.commit();
        return;
      } catch (SQLException error) {
        close();
        if (attempt == ATTEMPTS) throw error;
        if (repair.get("state").asText().equals(error.getSQLState())) {
          open();
          run(repair.get("sql").asText(), batch);
          connection.commit();
        }
      }
    }
  }

  private void open() throws SQLException {
    JsonNode history = job.get("history");
    Properties properties = new Properties();
    history.get("properties").fields().forEachRemaining(one -> properties.put(one.getKey(), one.getValue().asText()));
    if (history.get("tls").isObject()) {
      // Of names only where certificates are verified.
      properties.put("sslmode", Tls.verifies(history.get("tls")) ? "verify-full" : "require");
      properties.put("sslfactory", PostgresTls.class.getName());
      properties.put(PostgresTls.PROPERTY, history.get("tls").toString());
    }
    connection = DriverManager.getConnection(history.get("url").asText(), properties);
    connection.setAutoCommit(false);
  }

  private void run(String statement, String batch) throws SQLException {
    try (PreparedStatement prepared = connection.prepareStatement(statement)) {
      prepared.setString(1, batch);
      prepared.execute();
    }
  }

  @Teardown
  public void close() {
    try {
      if (connection != null) connection.close();
    } catch (SQLException error) {
      // It is not used any more.
    }
    connection = null;
  }
}
