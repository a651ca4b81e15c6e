import { isAbsolute } from "node:path";
import type { HttpAuth } from "../api/models/http-origin.ts";
import type { MlflowOptions } from "../api/models/mlflow-registry.ts";
import type { ScoringOptions } from "../api/models/scoring-client.ts";
import { millraceError } from "../definitions/errors.ts";
import {
  ANYTHING,
  checkGroup,
  checkGroups,
  isGroup,
  oneOfTexts,
  TEXT,
  type ValueKinds,
  wholeNumber,
} from "./check-group.ts";
import { isServerUrl } from "./server-url.ts";
import { TLS_KINDS } from "./tls-kinds.ts";

const SERVER: ValueKinds = {
  url: ANYTHING,
  auth: ANYTHING,
  tls: { expected: "an object of PEM texts", fits: isGroup },
  timeoutMs: wholeNumber(1, 600_000),
  retries: wholeNumber(0, 20),
};
const MLFLOW: ValueKinds = { ...SERVER, webhookSecret: ANYTHING };
const SCORING: ValueKinds = {
  ...SERVER,
  protocol: oneOfTexts("mlflow", "open_inference"),
  model: TEXT,
  maxInFlight: wholeNumber(1, 10_000),
  breakerFailures: wholeNumber(1, 1_000_000),
  breakerOpenMs: wholeNumber(1, 3_600_000),
};

/** The variables of the MLflow server and the scoring server `default`. */
export const MODEL_VARIABLES: readonly string[] = [
  "MILLRACE_MLFLOW_URL",
  "MILLRACE_MLFLOW_TOKEN",
  "MILLRACE_MLFLOW_TOKEN_FILE",
  "MILLRACE_MLFLOW_USERNAME",
  "MILLRACE_MLFLOW_PASSWORD",
  "MILLRACE_MLFLOW_WEBHOOK_SECRET",
  "MILLRACE_SCORING_URL",
  "MILLRACE_SCORING_TOKEN",
  "MILLRACE_SCORING_TOKEN_FILE",
  "MILLRACE_SCORING_USERNAME",
  "MILLRACE_SCORING_PASSWORD",
];

type Environment = Readonly<Record<string, string | undefined>>;
type MlflowServers = Readonly<Record<string, MlflowOptions>>;

/**
 * Checks how MLflow servers are reached and puts the variables in.
 * @throws `CONFIG_INVALID`, which names the value or the variable and never shows a secret
 */
export function resolveMlflow(config: MlflowServers | undefined, env: Environment): MlflowServers {
  checkGroups("connections.mlflow", config, MLFLOW);
  const servers: Record<string, MlflowOptions> = { ...config };
  const url = env.MILLRACE_MLFLOW_URL;
  const auth = authOf("MILLRACE_MLFLOW", env);
  const secret = env.MILLRACE_MLFLOW_WEBHOOK_SECRET;
  if (servers.default !== undefined || url !== undefined) {
    servers.default = {
      ...servers.default,
      ...(url === undefined ? {} : { url }),
      ...(auth === null ? {} : { auth }),
      ...(secret === undefined ? {} : { webhookSecret: secret }),
    } as MlflowOptions;
  } else if (auth !== null || secret !== undefined) {
    throw invalid("MILLRACE_MLFLOW_… is set, and MILLRACE_MLFLOW_URL is not: name the server too");
  }
  for (const [name, options] of Object.entries(servers)) checkServer(name, options);
  return servers;
}

/** As {@link resolveMlflow}, of servers that predict. @throws `CONFIG_INVALID` */
export function resolveScoring(
  config: Readonly<Record<string, ScoringOptions>> | undefined,
  env: Environment,
): Readonly<Record<string, ScoringOptions>> {
  checkGroups("connections.scoring", config, SCORING);
  const servers: Record<string, ScoringOptions> = { ...config };
  const url = env.MILLRACE_SCORING_URL;
  const auth = authOf("MILLRACE_SCORING", env);
  if (servers.default !== undefined || url !== undefined) {
    servers.default = {
      ...servers.default,
      ...(url === undefined ? {} : { url }),
      ...(auth === null ? {} : { auth }),
    } as ScoringOptions;
  } else if (auth !== null) {
    throw invalid("MILLRACE_SCORING_… is set, and MILLRACE_SCORING_URL is not: name the server too");
  }
  for (const [name, options] of Object.entries(servers)) {
    const where = `connections.scoring.${name}`;
    const { protocol, model, auth: given } = options;
    if (typeof options.url !== "string" || !isServerUrl(options.url.replaceAll("{version}", "1"))) {
      throw invalid(`${where}.url (MILLRACE_SCORING_URL) must be an http or https URL without a user or query`);
    }
    if (protocol === "open_inference" && (typeof model !== "string" || model === "")) {
      throw invalid(`${where}.model must be what the server calls the model`);
    }
    if (given !== undefined) checkAuth(`${where}.auth`, given);
    if (options.tls !== undefined) checkGroup(`${where}.tls`, options.tls, TLS_KINDS);
  }
  return servers;
}

function checkServer(name: string, { url, auth, tls, webhookSecret }: MlflowOptions): void {
  const where = `connections.mlflow.${name}`;
  const isUrl = typeof url === "string" && isServerUrl(url);
  const isFile = typeof url === "string" && (/^file:\/\/\//.test(url) || isAbsolute(url));
  if (!isUrl && !isFile) {
    throw invalid(
      `${where}.url${name === "default" ? " (MILLRACE_MLFLOW_URL)" : ""} must be an http or https URL without a user or query, or the folder of a file store (file:///… or an absolute path)`,
    );
  }
  if (auth !== undefined) checkAuth(`${where}.auth`, auth);
  if (tls !== undefined) checkGroup(`${where}.tls`, tls, TLS_KINDS);
  if (webhookSecret !== undefined && (typeof webhookSecret !== "string" || webhookSecret.length < 8)) {
    throw invalid(`${where}.webhookSecret (MILLRACE_MLFLOW_WEBHOOK_SECRET) must be a text of at least 8 characters`);
  }
}

function checkAuth(where: string, auth: HttpAuth): void {
  const given = auth as Readonly<Record<string, unknown>>;
  if (!isGroup(auth)) throw invalid(`${where} must be { username, password }, { token } or { tokenFile }`);
  const isText = (name: string): boolean => typeof given[name] === "string" && given[name] !== "";
  // A line break would begin another header.
  const isClean = Object.values(given).every((value) => typeof value === "string" && !/\p{Cc}/u.test(value));
  const ways = [isText("username") && isText("password"), isText("token"), isText("tokenFile")];
  if (isClean && ways.filter(Boolean).length === 1) return;
  throw invalid(
    `${where} must be { username, password }, { token } or { tokenFile }, of texts without control characters`,
  );
}

function authOf(prefix: string, env: Environment): HttpAuth | null {
  const of = (name: string): string | undefined => env[`${prefix}_${name}`];
  const [token, tokenFile, username, password] = [of("TOKEN"), of("TOKEN_FILE"), of("USERNAME"), of("PASSWORD")];
  if ((username === undefined) !== (password === undefined)) {
    throw invalid(`${prefix}_USERNAME and ${prefix}_PASSWORD go together`);
  }
  if ([token, tokenFile, username].filter((one) => one !== undefined).length > 1) {
    throw invalid(`only one of ${prefix}_TOKEN, ${prefix}_TOKEN_FILE and ${prefix}_USERNAME can be set`);
  }
  if (token !== undefined) return { token };
  if (tokenFile !== undefined) return { tokenFile };
  return username === undefined || password === undefined ? null : { username, password };
}

function invalid(message: string): Error {
  return millraceError("CONFIG_INVALID", `${message}.`);
}
