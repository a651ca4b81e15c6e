package io.millrace.beam;

import java.io.Closeable;

/**
 * The bundled script inside a JavaScript engine: a call takes text and bytes and gives bytes. It is all that the host
 * knows of what is computed. The script has no access to the host. Used by one thread at a time.
 */
interface WorkerScript extends Closeable {
  byte[] call(String function, String text, byte[] bytes);

  /** What the script says of the job's sources, as JSON. */
  String describe();

  @Override
  void close();
}
