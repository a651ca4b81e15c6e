import type { Value } from "../../../definitions/value.ts";
import { type ByteReader, createByteReader } from "../../encoding/byte-reader.ts";
import { createByteWriter } from "../../encoding/byte-writer.ts";
import { type FitGroup, type FitOutput, readNumberKey } from "./fit-output.ts";
import { CHUNK_ROWS, type FitPlan } from "./fit-plan.ts";

/** Puts the parts of a chunk's rows together: whole rows, in their order. A row that lacks a part is a problem. */
export function createFitAssemble(plan: FitPlan): (groups: Iterable<FitGroup>, out: FitOutput) => void {
  const { settings, views, requests, row, inputCount } = plan;
  const labelCount = row.labels.length;
  const roles = views.flatMap((view) => view.roles);
  const bytes = createByteWriter(1 << 16);

  function readPart(input: ByteReader, part: number, inputs: Value[], labels: Value[]): void {
    if (part === 0) {
      for (const { slot } of requests) inputs[slot] = input.value();
      for (let i = 0; i < labelCount; i++) labels[i] = input.value();
      return;
    }
    for (const { slot } of roles[part - 1]!.reads) inputs[slot] = input.value();
  }

  return (groups, out) => {
    for (const { key, blocks } of groups) {
      const chunk = readNumberKey(key);
      const first = chunk * CHUNK_ROWS;
      const count = Math.min(CHUNK_ROWS, settings.rows - first);
      const rows = Array.from({ length: count }, () => ({
        inputs: new Array<Value>(inputCount).fill(null),
        labels: new Array<Value>(labelCount).fill(null),
        parts: 0,
      }));
      for (const block of blocks) {
        const input = createByteReader(block);
        while (input.remaining > 0) {
          const found = rows[input.varint() - first]!;
          readPart(input, input.varint(), found.inputs, found.labels);
          found.parts++;
        }
      }
      const torn = rows.findIndex(({ parts }) => parts !== plan.parts);
      if (torn >= 0) {
        out.problem({
          code: "BEAM_FIT_INCOMPLETE",
          message: `Row ${first + torn} of the training frame has ${rows[torn]!.parts} of ${plan.parts} parts: nothing was fitted. Run the command again; if it comes back, this is a bug.`,
        });
      }
      bytes.reset();
      bytes.varint(first);
      bytes.varint(count);
      for (const { inputs, labels } of rows) {
        for (let i = 0; i < inputCount; i++) bytes.value(inputs[i]!);
        for (let i = 0; i < labelCount; i++) bytes.value(labels[i]!);
      }
      out.element(key, bytes.view());
    }
  };
}

/** Visits the rows of a chunk. The inputs and the labels are valid until the next row. */
export function visitChunk(
  { inputCount, row }: FitPlan,
  chunk: Uint8Array,
  visit: (inputs: readonly Value[], labels: readonly Value[], row: number) => void,
): void {
  const input = createByteReader(chunk);
  const first = input.varint();
  const count = input.varint();
  const inputs = new Array<Value>(inputCount);
  const labels = new Array<Value>(row.labels.length);
  for (let at = first; at < first + count; at++) {
    for (let i = 0; i < inputs.length; i++) inputs[i] = input.value();
    for (let i = 0; i < labels.length; i++) labels[i] = input.value();
    visit(inputs, labels, at);
  }
}
