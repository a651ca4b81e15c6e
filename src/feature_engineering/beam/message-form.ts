import type { EventFormat } from "../../definitions/format.ts";

/** What the host must do with the messages of a stream before the script reads them. */
export interface MessageForm {
  /** They are no text: the script gets their bytes. */
  readonly bytes: boolean;
  /** The script needs all of their headers. */
  readonly headers: boolean;
  /** They name schemas, which the host asks the registry for. */
  readonly registry: boolean;
  /** What begins as gzip does is gzip; else only what a header calls so. */
  readonly gzip_by_first_bytes: boolean;
}

export function messageForm(format: EventFormat): MessageForm {
  return {
    bytes: format.format !== "json" || format.cloudEvents,
    headers: format.cloudEvents,
    registry: (format.format === "avro" || format.format === "protobuf") && format.registry,
    gzip_by_first_bytes: format.format === "json",
  };
}
