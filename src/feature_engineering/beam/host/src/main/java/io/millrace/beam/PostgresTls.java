package io.millrace.beam;

import java.util.Properties;
import org.postgresql.ssl.WrappedFactory;

/** Sockets for PostgreSQL's driver, which makes it by its name; what it needs is in the connection's properties. */
public final class PostgresTls extends WrappedFactory {
  /** The property that has the description of TLS, as JSON. */
  static final String PROPERTY = "millraceTls";

  public PostgresTls(Properties properties) {
    factory = Tls.contextOf(JobFile.parse(properties.getProperty(PROPERTY))).getSocketFactory();
  }
}
