import type { Value } from "../../../definitions/value.ts";
import { createByteReader } from "../../encoding/byte-reader.ts";
import { profileBuilder } from "../../profiles/profile-builder.ts";
import type { Learned } from "../../transforms/compile-row.ts";
import { visitChunk } from "./fit-chunks.ts";
import { utf8 } from "./fit-learn.ts";
import { createFitBlocks, type FitGroup, type FitOutput, numberKey, readNumberKey } from "./fit-output.ts";
import type { FitPlan } from "./fit-plan.ts";

export interface FitProfile {
  /** The features of the rows that the profile is made of, by column. */
  sample(learned: Learned, chunks: Iterable<FitGroup>, out: FitOutput): void;
  /** How a column's values were distributed: lines of JSON. */
  profile(columns: Iterable<FitGroup>, out: FitOutput): void;
}

export function createFitProfile(plan: FitPlan): FitProfile {
  const { columns } = plan.row;
  const profiled = columns.map(({ type }) => profileBuilder(type) !== null);
  const blocks = createFitBlocks();
  const every = plan.settings.profileEvery ?? Number.POSITIVE_INFINITY;
  return {
    sample(learned, chunks, out) {
      const make = plan.row.bindTraining(learned);
      for (const { blocks: whole } of chunks) {
        for (const chunk of whole) {
          visitChunk(plan, chunk, (inputs, _labels, row) => {
            if (row % every !== 0) return;
            learned.position.row = row;
            const values = make(inputs);
            for (let column = 0; column < columns.length; column++) {
              if (!profiled[column]) continue;
              blocks.entry.varint(row);
              blocks.entry.value(values[column]!);
              blocks.end(column, () => numberKey(column));
            }
          });
        }
      }
      blocks.flush(out);
    },
    profile(groups, out) {
      for (const { key, blocks: parts } of groups) {
        const column = readNumberKey(key);
        const values: { readonly row: number; readonly value: Value }[] = [];
        for (const part of parts) {
          const input = createByteReader(part);
          while (input.remaining > 0) values.push({ row: input.varint(), value: input.value() });
        }
        const builder = profileBuilder(columns[column]!.type)!;
        // A profile is that of rows in their order.
        for (const { value } of values.sort((a, b) => a.row - b.row)) builder.add(value);
        out.element(key, utf8(JSON.stringify({ column, profile: builder.finish() })));
      }
    },
  };
}
