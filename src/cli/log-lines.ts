import { styleText } from "node:util";

const LEVELS: Readonly<Record<number, readonly [name: string, style: Parameters<typeof styleText>[0]]>> = {
  20: ["debug", "gray"],
  30: ["info ", "green"],
  40: ["warn ", "yellow"],
  50: ["error", "red"],
  60: ["fatal", "red"],
};
const OWN = new Set(["level", "time", "pid", "hostname", "msg", "err"]);

/** Where pino may write for people: one line per record, `12:00:00 info  message key=value`. Colours by `NO_COLOR`. */
export function logLines(out: NodeJS.WriteStream): { write(record: string): void } {
  return {
    write(record) {
      const fields = JSON.parse(record) as Record<string, unknown> & { level: number; time: number; msg?: string };
      const [name, style] = LEVELS[fields.level] ?? ["     ", "reset"];
      const error = fields.err as { readonly code?: string; readonly message?: string } | undefined;
      const facts = Object.entries(fields)
        .filter(([key]) => !OWN.has(key))
        .map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`);
      const why = error === undefined ? [] : [`${error.code === undefined ? "" : `${error.code}: `}${error.message}`];
      const time = new Date(fields.time).toISOString().slice(11, 19);
      out.write(`${[time, styleText(style, name, { stream: out }), fields.msg ?? "", ...facts, ...why].join(" ")}\n`);
    },
  };
}
