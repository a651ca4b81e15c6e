import { randomUUID } from "node:crypto";
import type { Value } from "../../definitions/value.ts";
import { modelError } from "./model-errors.ts";
import type { ModelAnswer } from "./model-runner.ts";
import type { ScoringClient, ScoringOptions } from "./scoring-client.ts";
import { exactNumber, type ScoringProtocol, single } from "./scoring-runner.ts";

interface Tensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data?: readonly unknown[];
}

/**
 * A model behind the Open Inference Protocol (V2), over REST and JSON. It may have one input of shape [rows, columns],
 * which takes the columns in their order, or one input per column, of shape [rows] or [rows, 1], by name. The answer is
 * its first output.
 */
export async function openInferenceScoring(
  server: string,
  { model }: ScoringOptions,
  client: ScoringClient,
): Promise<ScoringProtocol> {
  if (model === undefined || model === "") {
    throw modelError(
      "MODEL_SERVER_UNKNOWN",
      `The scoring server '${server}' speaks the Open Inference Protocol: name the model with connections.scoring.${server}.model.`,
    );
  }
  const path = `/v2/models/${encodeURIComponent(model)}`;
  const about = (await client.ask(path)) as {
    readonly inputs?: readonly Tensor[];
    readonly versions?: readonly string[];
  };
  const inputs = Array.isArray(about?.inputs) ? about.inputs : [];
  const single = inputs.length === 1 ? inputs[0]! : null;
  // A server that does not describe its inputs takes one matrix, as scikit-learn's does.
  const isMatrix = inputs.length === 0 || (single !== null && single.shape?.length === 2 && single.shape[1] !== 1);

  function tensors(columns: readonly string[], rows: readonly (readonly Value[])[]): readonly Tensor[] {
    if (isMatrix) {
      const { name = "input", datatype = "FP64" } = single ?? {};
      const data = rows.flatMap((row) => row.map((value, i) => element(value, datatype, columns[i]!)));
      return [{ name, datatype, shape: [rows.length, columns.length], data }];
    }
    return inputs.map(({ name, datatype, shape }) => {
      const at = columns.indexOf(name);
      const data = rows.map((row) => element(row[at] ?? null, datatype, name));
      return { name, datatype, shape: shape?.length === 1 ? [rows.length] : [rows.length, 1], data };
    });
  }

  function element(value: Value, datatype: string, column: string): unknown {
    if (value === null) {
      throw modelError(
        "MODEL_INPUT_INVALID",
        `The column '${column}' is null, which the protocol of scoring server '${server}' cannot say: fill it with .default(…).`,
        { details: { column } },
      );
    }
    const isText = datatype === "BYTES";
    if (isText) return String(value);
    if (typeof value === "boolean") return datatype === "BOOL" ? value : Number(value);
    if (typeof value === "number" || typeof value === "bigint") return value;
    throw modelError("MODEL_INPUT_INVALID", `The column '${column}' must be a number for the input type ${datatype}.`, {
      details: { column },
    });
  }

  return {
    inputs: isMatrix ? null : inputs.map(({ name, datatype }) => ({ name, type: datatype, required: true })),
    version: about?.versions?.at(-1) ?? null,
    async ask(columns, rows) {
      // The protocol leaves the id out at will, but models written for KServe answer with it unasked.
      const body = JSON.stringify({ id: randomUUID(), inputs: tensors(columns, rows) }, exactNumber);
      const answer = (await client.ask(`${path}/infer`, body)) as { readonly outputs?: readonly Tensor[] };
      const output = answer?.outputs?.[0];
      return rowsOf(output?.data?.flat(Number.POSITIVE_INFINITY) ?? [], rows.length, server);
    },
  };
}

function rowsOf(data: readonly unknown[], rows: number, server: string): readonly ModelAnswer[] {
  const width = data.length / rows;
  if (!Number.isInteger(width) || width === 0) {
    throw modelError(
      "MODEL_RUN_FAILED",
      `The scoring server '${server}' answers ${data.length} values for ${rows} rows.`,
      { details: { server } },
    );
  }
  return Array.from({ length: rows }, (_, row) => {
    if (width === 1) return single(data[row]);
    return data.slice(row * width, (row + 1) * width).map(single);
  });
}
