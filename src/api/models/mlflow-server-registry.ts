import type { IncomingMessage } from "node:http";
import type { MlflowModelLocation } from "../../definitions/model.ts";
import { MAX_ARTIFACT_DEPTH, safeArtifactPath } from "./artifact-path.ts";
import type { Artifact, ArtifactSet } from "./artifact-set.ts";
import { type HttpOrigin, httpOrigin } from "./http-origin.ts";
import {
  MAX_REGISTERED_VERSIONS,
  type MlflowOptions,
  type MlflowRegistry,
  type RegisteredVersion,
} from "./mlflow-registry.ts";
import { modelError } from "./model-errors.ts";

const API = "/api/2.0/mlflow";
const ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts";
const MAX_FILES = 10_000;
const MAX_FOLDERS = 1_000;

interface VersionAnswer {
  readonly version: string;
  readonly creation_timestamp?: number | string;
  readonly source?: string;
  readonly run_id?: string;
  readonly model_id?: string;
  readonly status?: string;
}

/**
 * The registry of an MLflow server (3.x and 2.x), over its REST API; artifacts come through the server
 * (`--serve-artifacts`, its default), so that no store's own credentials are needed here.
 * @see https://mlflow.org/docs/latest/api_reference/rest-api.html
 */
export function mlflowServerRegistry(options: MlflowOptions): MlflowRegistry {
  const origin = httpOrigin(options);

  /** Null if there is no such thing. */
  async function ask<T>(path: string, query: Readonly<Record<string, string>>): Promise<T | null> {
    const { status, text } = await origin.text({ path: `${path}?${new URLSearchParams(query)}` });
    let answer: { readonly error_code?: string; readonly message?: string } & T;
    try {
      answer = JSON.parse(text);
    } catch (cause) {
      throw failure(`its answer to ${path} (${status}) is no JSON: is this an MLflow server?`, cause);
    }
    if (status === 200) return answer;
    // An unknown alias is an invalid parameter to MLflow.
    const isMissing = status === 404 || /does not exist|not found/i.test(answer.message ?? "");
    if (isMissing && path.startsWith(API)) return null;
    throw failure(`it answers ${path} with ${status} (${String(answer.error_code ?? "no code").slice(0, 60)})`);
  }

  function failure(why: string, cause?: unknown): Error {
    return modelError("MODEL_SERVER_UNAVAILABLE", `The MLflow server ${origin.name} fails: ${why}.`, {
      kind: "operational",
      ...(cause === undefined ? {} : { cause }),
    });
  }

  async function find(name: string, follow: MlflowModelLocation["follow"]): Promise<readonly VersionAnswer[]> {
    if (follow === "newest") {
      const answer = await ask<{ model_versions?: readonly VersionAnswer[] }>(`${API}/model-versions/search`, {
        filter: `name='${name.replaceAll("'", "\\'")}'`,
        order_by: "version_number DESC",
        max_results: String(MAX_REGISTERED_VERSIONS),
      });
      return (answer?.model_versions ?? []).filter(({ status }) => status === undefined || status === "READY");
    }
    const answer =
      "alias" in follow
        ? await ask<{ model_version?: VersionAnswer }>(`${API}/registered-models/alias`, { name, alias: follow.alias })
        : await ask<{ model_version?: VersionAnswer }>(`${API}/model-versions/get`, { name, version: follow.version });
    return answer?.model_version === undefined ? [] : [answer.model_version];
  }

  function registered(name: string, answer: VersionAnswer): RegisteredVersion {
    const { source = "", model_id: modelId = "" } = answer;
    const version = String(answer.version);
    const created = Number(answer.creation_timestamp ?? Number.NaN);
    const id = [version, created, modelId, source].join("@");
    return {
      version,
      id,
      createdAt: Number.isFinite(created) ? created : null,
      async artifacts() {
        const found = await ask<{ artifact_uri?: string }>(`${API}/model-versions/get-download-uri`, { name, version });
        if (found?.artifact_uri === undefined) throw missing(name, { version });
        const root = proxiedPath(found.artifact_uri, origin);
        return { key: [options.url, name, id, root].join("\n"), ...filesBelow(origin, root, ask) };
      },
    };
  }

  function missing(name: string, follow: MlflowModelLocation["follow"]): Error {
    const what =
      follow === "newest"
        ? "a version that is ready"
        : "alias" in follow
          ? `the alias '${follow.alias}'`
          : `version ${follow.version}`;
    return modelError(
      "MODEL_NOT_FOUND",
      `The MLflow server ${origin.name} has no model '${name}' with ${what}: register it, or set the alias.`,
      { kind: "operational" },
    );
  }

  return {
    url: options.url,
    async versions(name, follow) {
      const answers = await find(name, follow);
      if (answers.length === 0) throw missing(name, follow);
      return answers.map((answer) => registered(name, answer));
    },
    close: () => origin.close(),
  };
}

type Ask = <T>(path: string, query: Readonly<Record<string, string>>) => Promise<T | null>;

/** The path that the server's artifact proxy knows it by. */
function proxiedPath(uri: string, origin: HttpOrigin): string {
  const found =
    /^mlflow-artifacts:(?:\/\/[^/]*)?\/+(.+)$/.exec(uri) ??
    /^https?:\/\/.*?\/mlflow-artifacts\/artifacts\/(.+)$/.exec(uri);
  if (found !== null) return safeArtifactPath(found[1]!.replace(/\/+$/, ""));
  const scheme = /^[a-z][a-z0-9+.-]*(?=:)/i.exec(uri)?.[0] ?? "file";
  throw modelError(
    "MODEL_SERVER_UNKNOWN",
    `The MLflow server ${origin.name} keeps this version's files at a ${scheme} address and does not pass them on: start it with --serve-artifacts and --artifacts-destination, and log the model again.`,
    { details: { scheme } },
  );
}

function filesBelow(origin: HttpOrigin, root: string, ask: Ask): Omit<ArtifactSet, "key"> {
  return {
    async list() {
      const files: Artifact[] = [];
      const folders = [""];
      for (let at = 0; at < folders.length && files.length <= MAX_FILES; at++) {
        const folder = folders[at]!;
        const path = folder === "" ? root : `${root}/${folder}`;
        const answer = await ask<{
          files?: readonly { path: string; is_dir?: boolean; file_size?: number | string }[];
        }>(ARTIFACTS, { path });
        for (const entry of answer?.files ?? []) {
          const below = safeArtifactPath(folder === "" ? String(entry.path) : `${folder}/${entry.path}`);
          if (entry.is_dir !== true) {
            const size = Number(entry.file_size ?? Number.NaN);
            files.push({ path: below, sizeBytes: Number.isSafeInteger(size) && size >= 0 ? size : null });
          } else if (below.split("/").length < MAX_ARTIFACT_DEPTH && folders.length < MAX_FOLDERS) {
            folders.push(below);
          }
        }
      }
      return files;
    },
    async read(path, from) {
      const url = `${ARTIFACTS}/${`${root}/${path}`.split("/").map(encodeURIComponent).join("/")}`;
      const answer = await origin.send({
        path: url,
        headers: {
          accept: "*/*",
          "accept-encoding": "identity",
          ...(from === 0 ? {} : { range: `bytes=${from}-` }),
        },
      });
      return { ...placeOf(answer, from, path, origin), bytes: answer };
    },
  };
}

function placeOf(
  answer: IncomingMessage,
  from: number,
  path: string,
  origin: HttpOrigin,
): { readonly from: number; readonly totalBytes: number | null } {
  const status = answer.statusCode ?? 0;
  if (status === 200) {
    const length = Number(answer.headers["content-length"] ?? Number.NaN);
    return { from: 0, totalBytes: Number.isFinite(length) ? length : null };
  }
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.headers["content-range"] ?? "");
  if (status === 206 && range !== null && Number(range[1]) === from) return { from, totalBytes: Number(range[2]) };
  answer.destroy();
  throw modelError(
    status === 404 ? "MODEL_NOT_FOUND" : "MODEL_SERVER_UNAVAILABLE",
    `The MLflow server ${origin.name} answers a request for the model's file ${path} with ${status}.`,
    { kind: "operational" },
  );
}
