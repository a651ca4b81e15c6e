package io.millrace.beam;

/** The script could not be run, or threw: a defect of the script or of what it was given, never of an event. */
final class ScriptException extends RuntimeException {
  ScriptException(String message, Throwable cause) {
    super(message, cause);
  }
}
