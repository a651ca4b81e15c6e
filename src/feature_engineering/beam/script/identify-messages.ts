import type { Value } from "../../../definitions/value.ts";
import type { ByteReader } from "../../encoding/byte-reader.ts";
import { type ByteWriter, createByteWriter } from "../../encoding/byte-writer.ts";
import { readPartitions, visitMessages } from "./message-frame.ts";
import { isFailure, type SourceRuntime } from "./source-runtime.ts";

/**
 * Says which event each message of a frame is, for sources whose events have an id. Per message: 0 (no event, or one of
 * another generation), or 1 and code and reason (a bad one), or 2 and the identity's bytes (event time and id), the
 * payload hash's four words and the event time (zigzag).
 */
export function createIdentify(runtime: SourceRuntime): (text: string, frame: ByteReader, out: ByteWriter) => void {
  const decoders = new Map<string, ReturnType<SourceRuntime["decoder"]>>();
  const identity = createByteWriter(64);
  return (text, frame, out) => {
    const decode = readPartitions(frame).map(({ header }) => {
      const known = decoders.get(header) ?? runtime.decoder(header);
      decoders.set(header, known);
      return known;
    });
    visitMessages(
      frame,
      text,
      (_index, message, offset, arrival, partition) => {
        const row = message === null ? null : decode[partition]!(message);
        const event = row === null || isFailure(row) ? row : runtime.toEvent(row as readonly Value[], offset, arrival);
        if (event === null) {
          out.u8(0);
        } else if (isFailure(event)) {
          out.u8(1);
          out.string(event.code);
          out.string(event.reason);
        } else if (!("eventTime" in event)) {
          out.u8(0);
        } else {
          out.u8(2);
          identity.reset();
          identity.zigzag(event.eventTime);
          identity.string(event.id ?? "");
          out.bytes(identity.view());
          for (const word of [event.hash0, event.hash1, event.hash2, event.hash3]) out.u32(word);
          out.zigzag(event.eventTime);
        }
      },
      runtime.learn,
    );
  };
}
