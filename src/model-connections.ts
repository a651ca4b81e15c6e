import { isAbsolute } from "node:path";
import type { HttpAuth } from "./api/models/http-origin.ts";
import type { MlflowOptions } from "./api/models/mlflow-registry.ts";
import { millraceError } from "./definitions/errors.ts";

/** The variables of the MLflow server `default`. */
export const MLFLOW_VARIABLES: readonly string[] = [
  "MILLRACE_MLFLOW_URL",
  "MILLRACE_MLFLOW_TOKEN",
  "MILLRACE_MLFLOW_TOKEN_FILE",
  "MILLRACE_MLFLOW_USERNAME",
  "MILLRACE_MLFLOW_PASSWORD",
  "MILLRACE_MLFLOW_WEBHOOK_SECRET",
];

type Environment = Readonly<Record<string, string | undefined>>;
type MlflowServers = Readonly<Record<string, MlflowOptions>>;

/**
 * Checks how MLflow servers are reached and puts the variables in.
 * @throws `CONFIG_INVALID`, which names the value or the variable and never shows a secret
 */
export function resolveMlflow(config: MlflowServers | undefined, env: Environment): MlflowServers {
  const servers: Record<string, MlflowOptions> = { ...config };
  const url = env.MILLRACE_MLFLOW_URL;
  const auth = authOf(env);
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

function checkServer(name: string, { url, auth, timeoutMs, retries, webhookSecret }: MlflowOptions): void {
  const where = `connections.mlflow.${name}`;
  const isUrl = typeof url === "string" && isServerUrl(url);
  const isFile = typeof url === "string" && (/^file:\/\/\//.test(url) || isAbsolute(url));
  if (!isUrl && !isFile) {
    throw invalid(
      `${where}.url${name === "default" ? " (MILLRACE_MLFLOW_URL)" : ""} must be an http or https URL without a user or query, or the folder of a file store (file:///… or an absolute path)`,
    );
  }
  if (auth !== undefined) checkAuth(`${where}.auth`, auth);
  checkNumber(`${where}.timeoutMs`, timeoutMs, 1, 600_000);
  checkNumber(`${where}.retries`, retries, 0, 20);
  if (webhookSecret !== undefined && (typeof webhookSecret !== "string" || webhookSecret.length < 8)) {
    throw invalid(`${where}.webhookSecret (MILLRACE_MLFLOW_WEBHOOK_SECRET) must be a text of at least 8 characters`);
  }
}

/** True for an address that holds no secret: URLs are logged, users and queries would be too. */
export function isServerUrl(url: string): boolean {
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) return false;
  const { username, password, search, hash } = new URL(url);
  return username === "" && password === "" && search === "" && hash === "";
}

export function checkAuth(where: string, auth: HttpAuth): void {
  const given = auth as Readonly<Record<string, unknown>>;
  const isText = (name: string): boolean => typeof given[name] === "string" && given[name] !== "";
  // A line break would begin another header.
  const isClean = Object.values(given).every((value) => typeof value === "string" && !/\p{Cc}/u.test(value));
  const ways = [isText("username") && isText("password"), isText("token"), isText("tokenFile")];
  if (isClean && ways.filter(Boolean).length === 1) return;
  throw invalid(
    `${where} must be { username, password }, { token } or { tokenFile }, of texts without control characters`,
  );
}

export function checkNumber(where: string, value: unknown, least: number, most: number): void {
  if (value === undefined || (Number.isInteger(value) && Number(value) >= least && Number(value) <= most)) return;
  throw invalid(`${where} must be a whole number from ${least} to ${most}`);
}

function authOf(env: Environment): HttpAuth | null {
  const { MILLRACE_MLFLOW_TOKEN: token, MILLRACE_MLFLOW_TOKEN_FILE: tokenFile } = env;
  const { MILLRACE_MLFLOW_USERNAME: username, MILLRACE_MLFLOW_PASSWORD: password } = env;
  if ((username === undefined) !== (password === undefined)) {
    throw invalid("MILLRACE_MLFLOW_USERNAME and MILLRACE_MLFLOW_PASSWORD go together");
  }
  if ([token, tokenFile, username].filter((one) => one !== undefined).length > 1) {
    throw invalid(
      "only one of MILLRACE_MLFLOW_TOKEN, MILLRACE_MLFLOW_TOKEN_FILE and MILLRACE_MLFLOW_USERNAME can be set",
    );
  }
  if (token !== undefined) return { token };
  if (tokenFile !== undefined) return { tokenFile };
  return username === undefined || password === undefined ? null : { username, password };
}

function invalid(message: string): Error {
  return millraceError("CONFIG_INVALID", `${message}.`);
}
