import { createReadStream, type ReadStream } from "node:fs";
import { join } from "node:path";
import type { ModelMeta } from "../../definitions/model.ts";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import { writeArrowFrame } from "../../feature_store/offline/arrow-frame-files.ts";
import { duckdbFrameFiles } from "../../feature_store/offline/duckdb-frame-files.ts";
import type { FrameBatch } from "../../feature_store/offline/frame-file.ts";
import type { AnsweredRows } from "./predict-batch.ts";

export interface AnswerColumn {
  readonly name: string;
  readonly type: ColumnTypeSpec;
  readonly read: (answers: AnsweredRows, row: number) => Value;
}

/** The columns of an answer that is a table. No output's name has a colon, so none can clash with the last. */
export function answerColumns({ output }: ModelMeta, withOverlap: boolean): readonly AnswerColumn[] {
  const overlap: AnswerColumn = {
    name: ":head_overlap",
    type: { kind: "bool", nullable: true },
    read: (answers, r) => (answers.failure(r) === null ? answers.headOverlap(r) : null),
  };
  const error: AnswerColumn = {
    name: ":error",
    type: { kind: "string", nullable: true },
    read: (answers, r) => {
      const failure = answers.failure(r);
      return failure === null ? null : `${failure.code}: ${failure.detail}`;
    },
  };
  return [
    ...output.map(({ name, type }, c): AnswerColumn => ({ name, type, read: (answers, r) => answers.cell(r, c) })),
    ...(withOverlap ? [overlap] : []),
    error,
  ];
}

/** Writes all answers to a file in `folder`, and opens it. */
export async function answerFile(
  format: "arrow-file" | "parquet",
  model: ModelMeta,
  withOverlap: boolean,
  answers: AsyncIterable<AnsweredRows>,
  folder: string,
): Promise<ReadStream> {
  const columns = answerColumns(model, withOverlap);
  async function* batches(): AsyncGenerator<FrameBatch> {
    for await (const some of answers) {
      const rows = Array.from({ length: some.count }, (_, r) => r);
      yield { count: some.count, columns: columns.map((column) => rows.map((r) => column.read(some, r))) };
    }
  }
  const path = join(folder, `answer.${format === "parquet" ? "parquet" : "arrow"}`);
  if (format === "arrow-file") {
    await writeArrowFrame(path, columns, batches(), { "millrace.model": model.name });
  } else {
    const files = await duckdbFrameFiles(folder);
    try {
      await files.writeParquet(path, columns, batches(), { "millrace.model": model.name });
    } finally {
      await files.close();
    }
  }
  return createReadStream(path);
}
