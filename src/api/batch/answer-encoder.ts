import type { ModelMeta } from "../../definitions/model.ts";
import { valueJson } from "../value-json.ts";
import type { AnsweredRows } from "./predict-batch.ts";

/** Writes answers in one format, in pieces. */
export interface AnswerEncoder {
  start(first: AnsweredRows | null): Buffer;
  rows(answers: AnsweredRows): Buffer;
  end(): Buffer;
  /** The last words where an error ends the answer; null where the format has none. */
  failed(code: string, detail: string): Buffer | null;
}

/** Encodes as JSON, NDJSON or CSV. */
export function textEncoder(format: "json" | "ndjson" | "csv", model: ModelMeta, version: string): AnswerEncoder {
  const { output } = model;
  const keys = output.map(({ name }, c) => `${c === 0 ? "{" : ","}${JSON.stringify(name)}:`);
  let hasRows = false;
  let withOverlap = false;

  function rowJson(answers: AnsweredRows, r: number): string {
    const failure = answers.failure(r);
    if (failure !== null) return JSON.stringify({ ":error": { row: answers.from + r, ...failure } });
    let json = "";
    for (let c = 0; c < output.length; c++) json += keys[c]! + valueJson(answers.cell(r, c), output[c]!.type);
    return answers.headOverlap(r) ? `${json},":head_overlap":true}` : `${json}}`;
  }

  function rowCsv(answers: AnsweredRows, r: number): string {
    const failure = answers.failure(r);
    let line = "";
    for (let c = 0; c < output.length; c++) line += `${csvCell(valueJson(answers.cell(r, c), output[c]!.type))},`;
    if (withOverlap) line += failure === null ? `${answers.headOverlap(r)},` : ",";
    return line + (failure === null ? "" : quoted(`${failure.code}: ${failure.detail}`));
  }

  return {
    start(first) {
      withOverlap = first?.form === "keys";
      if (format === "ndjson") return Buffer.alloc(0);
      if (format === "csv") {
        const names = output.map(({ name }) => quoted(name));
        return Buffer.from(`${[...names, ...(withOverlap ? [":head_overlap"] : []), ":error"].join(",")}\n`);
      }
      const asOf = first === null || first.asOf === null ? "null" : JSON.stringify(new Date(first.asOf).toISOString());
      return Buffer.from(
        `{"model":${JSON.stringify(model.name)},"version":${JSON.stringify(version)},"as_of":${asOf},"predictions":[`,
      );
    },
    rows(answers) {
      const lines = new Array<string>(answers.count);
      for (let r = 0; r < answers.count; r++) lines[r] = format === "csv" ? rowCsv(answers, r) : rowJson(answers, r);
      const comma = format === "json" && hasRows ? "," : "";
      hasRows ||= answers.count > 0;
      return Buffer.from(format === "json" ? comma + lines.join(",") : `${lines.join("\n")}\n`);
    },
    end: () => Buffer.from(format === "json" ? "]}" : ""),
    failed: (code, detail) =>
      format === "ndjson" ? Buffer.from(`${JSON.stringify({ ":error": { row: null, code, detail } })}\n`) : null,
  };
}

/** A value's JSON as a cell: null is empty, texts lose their JSON escapes. */
function csvCell(json: string): string {
  if (json === "null") return "";
  return json.startsWith('"') ? quoted(JSON.parse(json) as string) : json;
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
