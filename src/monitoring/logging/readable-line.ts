import type { LoggedError } from "./log-error.ts";

const LEVELS: Readonly<Record<number, readonly [name: string, colour: string]>> = {
  20: ["DEBUG", "\x1b[36m"],
  30: ["INFO ", "\x1b[32m"],
  40: ["WARN ", "\x1b[33m"],
  50: ["ERROR", "\x1b[31m"],
  60: ["FATAL", "\x1b[31m"],
};
const DIM = "\x1b[2m";
const PLAIN = "\x1b[0m";
/** Those of every line, which a terminal need not show. */
const USUAL = new Set(["level", "time", "pid", "hostname", "msg", "err"]);

/** A JSON line of pino as people read it: time, level, message, fields, and below what failed. */
export function readableLine(json: string, coloured: boolean): string {
  let line: Readonly<Record<string, unknown>>;
  try {
    line = JSON.parse(json) as Readonly<Record<string, unknown>>;
  } catch {
    return json;
  }
  const paint = (colour: string, text: string): string => (coloured ? `${colour}${text}${PLAIN}` : text);
  const [name, colour] = LEVELS[Number(line.level)] ?? ["LEVEL", ""];
  const time = new Date(Number(line.time)).toISOString().slice(11, 23);
  const fields = Object.entries(line)
    .filter(([field]) => !USUAL.has(field))
    .map(([field, value]) => ` ${paint(DIM, `${field}=`)}${valueText(value)}`);
  const head = `${paint(DIM, time)} ${paint(colour, name)} ${String(line.msg ?? "")}${fields.join("")}`;
  return `${[head, ...errorLines(line.err as LoggedError | undefined)].join("\n")}\n`;
}

function valueText(value: unknown): string {
  return typeof value === "string" && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}

function errorLines(error: LoggedError | undefined): readonly string[] {
  if (error === undefined) return [];
  const { code, type, message, stack, cause } = error;
  const said =
    stack?.startsWith(type) === true ? stack : `${code ?? type}: ${message}${stack === undefined ? "" : `\n${stack}`}`;
  return [...said.split("\n").map((line) => `    ${line}`), ...errorLines(cause)];
}
