import { millraceError } from "../definitions/errors.ts";

/** What the background tasks of data and model quality may cost. */
export interface QualityConfig {
  /** Between looks at outcomes. Default 30; 0: only when they are asked for. `MILLRACE_OUTCOME_SECONDS` */
  readonly outcomeSeconds?: number;
  /** Between looks at logged predictions. Default 300; 0: none. `MILLRACE_SKEW_SECONDS` */
  readonly skewSeconds?: number;
  /** Rows of one look that are computed again, at most. Default 200. `MILLRACE_SKEW_ROWS` */
  readonly skewRows?: number;
  /** After this long a look at logged predictions ends. Default 2,000 ms. `MILLRACE_SKEW_BUDGET_MS` */
  readonly skewBudgetMs?: number;
}

export type ResolvedQuality = Required<QualityConfig>;

type Env = Readonly<Record<string, string | undefined>>;

const SETTINGS = {
  outcomeSeconds: { variable: "MILLRACE_OUTCOME_SECONDS", fallback: 30, least: 0, most: 86_400 },
  skewSeconds: { variable: "MILLRACE_SKEW_SECONDS", fallback: 300, least: 0, most: 86_400 },
  skewRows: { variable: "MILLRACE_SKEW_ROWS", fallback: 200, least: 1, most: 100_000 },
  skewBudgetMs: { variable: "MILLRACE_SKEW_BUDGET_MS", fallback: 2_000, least: 1, most: 3_600_000 },
} as const;

export const QUALITY_NAMES: readonly string[] = Object.keys(SETTINGS);
export const QUALITY_VARIABLES: readonly string[] = Object.values(SETTINGS).map(({ variable }) => variable);

/** Fills in and checks `quality`. @throws `CONFIG_INVALID`, naming the value or variable */
export function resolveQuality(given: QualityConfig | undefined, env: Env): ResolvedQuality {
  const number = (name: keyof typeof SETTINGS): number => {
    const { variable, fallback, least, most } = SETTINGS[name];
    const text = env[variable];
    const value = text === undefined ? (given?.[name] ?? fallback) : text.trim() === "" ? Number.NaN : Number(text);
    if (typeof value === "number" && value >= least && value <= most) return value;
    const from = text === undefined ? `quality.${name}` : `the variable ${variable}`;
    throw millraceError("CONFIG_INVALID", `${from} must be a number from ${least} to ${most}.`, {
      details: { name: from },
    });
  };
  return {
    outcomeSeconds: number("outcomeSeconds"),
    skewSeconds: number("skewSeconds"),
    skewRows: Math.floor(number("skewRows")),
    skewBudgetMs: number("skewBudgetMs"),
  };
}
