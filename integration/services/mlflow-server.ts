import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { MillraceError } from "../../src/definitions/errors.ts";
import { answers } from "./answers.ts";
import { freePorts } from "./free-ports.ts";
import { MLFLOW } from "./mlflow-version.ts";
import { pythonEnvironment } from "./python-environment.ts";
import { spawnService } from "./spawn-service.ts";

export interface MlflowServerOptions {
  /** Runs MLflow's own basic-auth app; the user is `admin`. */
  readonly password?: string;
  /** Of "nice": above 0 it takes less from what is measured beside it, as if it had a machine of its own. Default 0. */
  readonly niceness?: number;
}

/** A real MLflow of this test run: SQLite behind it, artifacts through it. */
export interface MlflowServer extends AsyncDisposable {
  readonly url: string;
  /** Of the environment that has MLflow's client, too. */
  readonly bin: string;
  /** Of the server: its database, its artifacts, its log. */
  readonly folder: string;
  /** A request to its REST API as its user; fails on an error. */
  // biome-ignore lint/suspicious/noExplicitAny: answers of any shape
  ask(method: string, path: string, body?: unknown): Promise<any>;
  /** Puts files at a place of its artifact store. */
  upload(place: string, files: Readonly<Record<string, string | Uint8Array<ArrayBuffer>>>): Promise<void>;
  /** Uploads files as a model and registers them; gives the version's number. */
  register(name: string, files: Readonly<Record<string, string | Uint8Array<ArrayBuffer>>>): Promise<string>;
  setAlias(name: string, alias: string, version: string): Promise<void>;
  /** Stops it, and starts it again on the same port and data. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

const READY_SECONDS = 120;
const ANSWER_MS = 60_000;

export async function startMlflow(options: MlflowServerOptions = {}): Promise<MlflowServer> {
  const bin = pythonEnvironment(MLFLOW);
  const folder = await mkdtemp(join(tmpdir(), "millrace-mlflow-"));
  const [port] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  await mkdir(join(folder, "artifacts"));
  const { password } = options;
  if (password !== undefined) {
    await writeFile(
      join(folder, "auth.ini"),
      `[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///${folder}/auth.db\nadmin_username = admin\nadmin_password = ${password}\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n`,
    );
  }
  const authorization = password === undefined ? null : `Basic ${Buffer.from(`admin:${password}`).toString("base64")}`;
  let child: ChildProcess | null = null;

  async function start(): Promise<void> {
    const log = createWriteStream(join(folder, "log"), { flags: "a" });
    child = spawnService(
      join(bin, "mlflow"),
      [
        "server",
        ...["--host", "127.0.0.1", "--port", String(port), "--workers", "1"],
        ...["--backend-store-uri", `sqlite:///${folder}/mlflow.db`],
        ...["--artifacts-destination", join(folder, "artifacts"), "--serve-artifacts"],
        ...(password === undefined ? [] : ["--app-name", "basic-auth"]),
      ],
      {
        cwd: folder,
        // A group of its own: MLflow starts workers.
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
        env: {
          ...process.env,
          PATH: `${bin}:${process.env.PATH}`,
          MLFLOW_DISABLE_TELEMETRY: "true",
          MLFLOW_SERVER_ENABLE_JOB_EXECUTION: "false",
          DO_NOT_TRACK: "true",
          MLFLOW_WEBHOOK_ALLOWED_SCHEMES: "http,https",
          MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS: "true",
          MLFLOW_WEBHOOK_CACHE_TTL: "1",
          MLFLOW_FLASK_SERVER_SECRET_KEY: "of this test run",
          ...(password === undefined ? {} : { MLFLOW_AUTH_CONFIG_PATH: join(folder, "auth.ini") }),
        },
      },
    );
    child.stdout?.pipe(log);
    child.stderr?.pipe(log);
    if (options.niceness !== undefined && child.pid !== undefined) setPriority(child.pid, options.niceness);
    const until = Date.now() + READY_SECONDS * 1_000;
    while (!(await answers(`${url}/health`))) {
      if (child.exitCode !== null || Date.now() > until) {
        const said = await readFile(join(folder, "log"), "utf8").catch(() => "");
        throw new MillraceError("TOOL_FAILED", `mlflow server did not start: ${said.slice(-2_000)}`, {
          kind: "operational",
        });
      }
      await pause(100);
    }
  }

  async function stop(): Promise<void> {
    const running = child;
    child = null;
    if (running?.pid === undefined || running.exitCode !== null) return;
    const ended = once(running, "exit");
    process.kill(-running.pid, "SIGKILL");
    await ended;
  }

  async function send(
    method: string,
    path: string,
    body?: string | Uint8Array<ArrayBuffer>,
    type?: string,
  ): Promise<Response> {
    const answer = await fetch(`${url}${path}`, {
      method,
      signal: AbortSignal.timeout(ANSWER_MS),
      ...(body === undefined ? {} : { body }),
      headers: {
        ...(authorization === null ? {} : { authorization }),
        ...(type === undefined ? {} : { "content-type": type }),
      },
    });
    if (answer.ok) return answer;
    throw new MillraceError("TOOL_FAILED", `${method} ${path}: ${answer.status} ${await answer.text()}`);
  }

  const server: MlflowServer = {
    url,
    bin,
    folder,
    start,
    stop,
    async ask(method, path, body) {
      return (
        await send(method, path, body === undefined ? undefined : JSON.stringify(body), "application/json")
      ).json();
    },
    async upload(place, files) {
      for (const [path, content] of Object.entries(files)) {
        await send("PUT", `/api/2.0/mlflow-artifacts/artifacts/${place}/${path}`, content);
      }
    },
    async register(name, files) {
      const created = await server.ask("POST", "/api/2.0/mlflow/runs/create", { experiment_id: "0" });
      const { run_id: runId, artifact_uri: uri } = created.run.info;
      const source = `${uri}/model`;
      await server.upload(source.replace(/^mlflow-artifacts:\/+/, ""), files);
      await server.ask("POST", "/api/2.0/mlflow/registered-models/create", { name }).catch((error: unknown) => {
        if (!String(error).includes("RESOURCE_ALREADY_EXISTS")) throw error;
      });
      const body = { name, source, run_id: runId };
      const answer = await server.ask("POST", "/api/2.0/mlflow/model-versions/create", body);
      return answer.model_version.version;
    },
    async setAlias(name, alias, version) {
      await server.ask("POST", "/api/2.0/mlflow/registered-models/alias", { name, alias, version });
    },
    async [Symbol.asyncDispose]() {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  try {
    await start();
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}
