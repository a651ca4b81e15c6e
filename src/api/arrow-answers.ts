import { millraceError } from "../definitions/errors.ts";
import type { ModelMeta } from "../definitions/model.ts";
import type { Value } from "../definitions/value.ts";
import { columnData } from "./arrow-online.ts";
import type { AnswerEncoder } from "./batch/answer-encoder.ts";
import { answerColumns } from "./batch/answer-frame.ts";
import type { AnsweredRows } from "./batch/predict-batch.ts";

/** The end of a stream: a continuation mark and a length of 0. */
const END = Buffer.from("ffffffff00000000", "hex");

/** Encodes answers as an Arrow IPC stream, one record batch for each piece. @throws `PACKAGE_MISSING` */
export async function arrowEncoder(model: ModelMeta, version: string): Promise<AnswerEncoder> {
  const arrow = await import("apache-arrow").catch((cause: unknown) => {
    throw millraceError(
      "PACKAGE_MISSING",
      "Answers in Arrow need the package apache-arrow beside Millrace: npm install apache-arrow. JSON, CSV and Parquet need nothing.",
      { cause, kind: "operational" },
    );
  });
  let head: Buffer = Buffer.alloc(0);
  let withOverlap = false;

  /** The whole stream of these rows. */
  function stream(answers: AnsweredRows | null): Uint8Array {
    const columns = answerColumns(model, withOverlap);
    const count = answers?.count ?? 0;
    const datas = columns.map((column) => {
      const values = new Array<Value>(count);
      for (let r = 0; r < count; r++) values[r] = column.read(answers!, r);
      return columnData(arrow, column.type, values);
    });
    const fields = columns.map(({ name }, c) => new arrow.Field(name, datas[c]!.type, true));
    const schema = new arrow.Schema(
      fields,
      new Map([
        ["millrace.model", model.name],
        ["millrace.version", version],
      ]),
    );
    const struct = arrow.makeData({ type: new arrow.Struct(fields), length: count, nullCount: 0, children: datas });
    const batches = answers === null ? [] : [new arrow.RecordBatch(schema, struct)];
    const writer = new arrow.RecordBatchStreamWriter();
    writer.reset(undefined, schema);
    for (const batch of batches) writer.write(batch);
    writer.finish();
    return writer.toUint8Array(true);
  }

  return {
    start(first) {
      withOverlap = first?.form === "keys";
      const empty = Buffer.from(stream(null));
      head = empty.subarray(0, empty.length - END.length);
      return head;
    },
    rows(answers) {
      const bytes = Buffer.from(stream(answers));
      return bytes.subarray(head.length, bytes.length - END.length);
    },
    end: () => END,
    failed: () => null,
  };
}
