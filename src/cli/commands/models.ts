import { millraceError } from "../../definitions/errors.ts";
import { type Connection, connect, connectTo } from "../connect.ts";
import { configOf, type GlobalOptions, print, table } from "../global-options.ts";

export interface ModelOptions extends GlobalOptions {
  /** Of a running server; without it, the one that owns the data folder. */
  readonly url?: string;
}

interface ModelAnswer {
  readonly name: string;
  readonly service: string;
  readonly status: string;
  readonly serving: { readonly version: string } | null;
  readonly previous: { readonly version: string } | null;
  readonly pinned: string | null;
  readonly is_failing: boolean;
  readonly versions: readonly {
    readonly version: string;
    readonly created_at: string | null;
    readonly failure: { readonly code: string; readonly message: string } | null;
  }[];
  readonly last_failure: { readonly code: string; readonly message: string; readonly at: string } | null;
}

/** Models with the version that serves. */
export async function listModels(options: ModelOptions): Promise<void> {
  await using connection = await open(options);
  const answer = await connection.ask<{ models: readonly ModelAnswer[] }>("GET", "/v1/models");
  print(options, answer, () =>
    table([
      ["model", "service", "status", "version"],
      ...answer.models.map((model) => [model.name, model.service, statusOf(model), versionOf(model)]),
    ]),
  );
}

/** One model with its versions, and why some of them do not serve. */
export async function modelStatus(model: string, options: ModelOptions): Promise<void> {
  await using connection = await open(options);
  const answer = await connection.ask<ModelAnswer>("GET", `/v1/models/${encodeURIComponent(model)}`);
  print(options, answer, () => {
    const { serving, previous, pinned, last_failure: failure } = answer;
    const mark = (version: string): string =>
      [
        ...(serving?.version === version ? ["serves"] : []),
        ...(previous?.version === version ? ["previous"] : []),
        ...(pinned === version ? ["pinned"] : []),
      ].join(", ");
    return [
      `${answer.name} reads ${answer.service}: ${statusOf(answer)}`,
      table([
        ["version", "", "created", "failed"],
        ...answer.versions.map((one) => [
          one.version,
          mark(one.version),
          one.created_at ?? "",
          one.failure === null ? "" : `${one.failure.code}: ${one.failure.message}`,
        ]),
      ]),
      ...(failure === null ? [] : [`last failure, ${failure.at}: ${failure.code}: ${failure.message}`]),
    ].join("\n");
  });
}

/** Asks a running server for a change. */
export async function changeModel(
  act: "load" | "unload" | "rollback" | "pin" | "unpin",
  model: string,
  version: string | null,
  options: ModelOptions,
): Promise<void> {
  await using connection = await open(options);
  if (!connection.isRemote) {
    throw millraceError(
      "SERVER_NOT_RUNNING",
      `There is no running server to ${act} '${model}' of: start one (millrace serve), or name it with --url where processes share their stores.`,
    );
  }
  const body = act === "pin" || act === "unpin" ? { version } : {};
  const route = act === "unpin" ? "pin" : act;
  const answer = await connection.ask<ModelAnswer>("POST", `/v1/models/${encodeURIComponent(model)}/${route}`, body);
  print(options, answer, () => `${model}: ${statusOf(answer)}, version ${versionOf(answer)}`);
}

async function open(options: ModelOptions): Promise<Connection> {
  if (options.url === undefined) return connect(await configOf(options));
  return connectTo(options.url, process.env.MILLRACE_ADMIN_TOKEN ?? "");
}

function statusOf({ status, pinned, is_failing: isFailing }: ModelAnswer): string {
  return [status, ...(pinned === null ? [] : ["pinned"]), ...(isFailing ? ["update fails"] : [])].join(", ");
}

function versionOf({ serving }: ModelAnswer): string {
  return serving?.version ?? "none";
}
