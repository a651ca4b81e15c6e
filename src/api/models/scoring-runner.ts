import type { Value } from "../../definitions/value.ts";
import { modelError } from "./model-errors.ts";
import {
  bindColumns,
  type ModelAnswer,
  type ModelColumn,
  type ModelRunner,
  type PreparedModel,
  refuseClosed,
} from "./model-runner.ts";
import { openInferenceScoring } from "./open-inference-scoring.ts";
import { type ScoringOptions, scoringClient } from "./scoring-client.ts";

/** The most rows of one request. */
const CHUNK_ROWS = 1_000;

/** How rows are put to a server, and its answers read. */
export interface ScoringProtocol {
  /** The columns that the server names itself; null if it does not. */
  readonly inputs: readonly ModelColumn[] | null;
  /** What the server calls the version; null if it does not say. */
  readonly version: string | null;
  ask(columns: readonly string[], rows: readonly (readonly Value[])[]): Promise<readonly ModelAnswer[]>;
}

export interface ScoringRunnerOptions {
  /** The inputs of the model's signature, if it is known. */
  readonly inputs?: readonly ModelColumn[] | null;
}

/**
 * A runner whose answers come from a scoring server.
 * @throws `MODEL_SERVER_UNAVAILABLE`, `MODEL_SERVER_DENIED`, `MODEL_RUN_FAILED`, `MODEL_SERVER_UNKNOWN`
 */
export async function scoringRunner(
  server: string,
  options: ScoringOptions,
  version: string,
  { inputs: signed = null }: ScoringRunnerOptions = {},
): Promise<ModelRunner & { readonly version: string | null }> {
  const client = scoringClient(server, options, version);
  let protocol: ScoringProtocol;
  try {
    protocol =
      options.protocol === "open_inference"
        ? await openInferenceScoring(server, options, client)
        : { inputs: null, version: null, ask: (columns, rows) => askMlflow(columns, rows, signed) };
  } catch (error) {
    client.close();
    throw error;
  }
  const inputs = signed ?? protocol.inputs;
  let isClosed = false;

  async function askMlflow(
    columns: readonly string[],
    rows: readonly (readonly Value[])[],
    types: readonly ModelColumn[] | null,
  ): Promise<readonly ModelAnswer[]> {
    const times = columns.map((name) => types?.find((input) => input.name === name)?.type === "datetime");
    const data = rows.map((row) => row.map((value, i) => (times[i] ? isoTime(value) : value)));
    const answer = await client.ask(
      "/invocations",
      JSON.stringify({ dataframe_split: { columns, data } }, exactNumber),
    );
    const predictions = isObject(answer) ? answer.predictions : answer;
    if (Array.isArray(predictions) && predictions.length === rows.length) return predictions.map(answerOf);
    throw modelError(
      "MODEL_RUN_FAILED",
      `The scoring server '${server}' did not answer one prediction per row (${rows.length} were asked for).`,
      { details: { server } },
    );
  }

  function prepare(columns: readonly string[]): PreparedModel {
    const positions = bindColumns(inputs, null, columns);
    const names = inputs?.map((input) => input.name) ?? columns;
    const isWhole = positions.length === columns.length && positions.every((position, i) => position === i);
    return {
      predictRow: null,
      async predict(rows) {
        if (isClosed) refuseClosed();
        if (rows.length === 0) return [];
        const picked = isWhole ? rows : rows.map((row) => Array.from(positions, (at) => (at < 0 ? null : row[at]!)));
        if (picked.length <= CHUNK_ROWS) return protocol.ask(names, picked);
        const chunks: Promise<readonly ModelAnswer[]>[] = [];
        for (let from = 0; from < picked.length; from += CHUNK_ROWS) {
          chunks.push(protocol.ask(names, picked.slice(from, from + CHUNK_ROWS)));
        }
        return (await Promise.all(chunks)).flat();
      },
    };
  }

  return {
    flavor: "python_function",
    version: protocol.version,
    inputs,
    outputs: [],
    // Its memory is the server's.
    sizeBytes: 0,
    prepare,
    predict: async (batch) => prepare(batch.columns).predict(batch.rows),
    close: async () => {
      isClosed = true;
      client.close();
    },
  };
}

/** One row's prediction: a value, several, or the columns of a data frame. */
function answerOf(prediction: unknown): ModelAnswer {
  if (Array.isArray(prediction)) return prediction.flat(Number.POSITIVE_INFINITY).map(single);
  if (isObject(prediction)) return Object.values(prediction).map(single);
  return single(prediction);
}

export function single(value: unknown): number | string {
  if (typeof value === "number" || typeof value === "string") return value;
  if (typeof value === "boolean") return Number(value);
  if (value === null) return Number.NaN;
  throw modelError("MODEL_RUN_FAILED", "The scoring server answers values that are neither numbers nor texts.");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isoTime(value: Value | undefined): string | null {
  return typeof value === "number" ? new Date(value).toISOString() : null;
}

// In Node since 22; TypeScript's library does not know it yet.
const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

/** Whole numbers of 64 bits digit by digit. */
export function exactNumber(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? rawJson(String(value)) : value;
}
