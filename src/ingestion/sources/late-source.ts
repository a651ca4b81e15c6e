import { ingestionError } from "../ingestion-error.ts";
import type { MessageSource, MessageSourceCapabilities } from "../message-source.ts";

/** A source that is made when it is opened, because something must be brought first. */
export function lateSource(capabilities: MessageSourceCapabilities, make: () => Promise<MessageSource>): MessageSource {
  let made: MessageSource | null = null;
  const source = (): MessageSource => {
    if (made !== null) return made;
    throw ingestionError("SOURCE_CLOSED", "The source is not open.", { kind: "bug" });
  };
  return {
    capabilities,
    async open(resume) {
      made = await make();
      await made.open(resume);
    },
    fetch: (maxMessages, signal) => source().fetch(maxMessages, signal),
    checkpoint: (partition, offset) => source().checkpoint(partition, offset),
    lag: async () => (made === null ? [] : await made.lag()),
    async close() {
      await made?.close();
      made = null;
    },
  };
}
