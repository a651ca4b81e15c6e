import { connect } from "../connect.ts";
import { configOf, type GlobalOptions, print, table } from "../global-options.ts";

/** Models with the version that serves. */
export async function listModels(options: GlobalOptions): Promise<void> {
  await using connection = await connect(await configOf(options));
  const answer = await connection.ask<{ models: readonly Record<string, unknown>[] }>("GET", "/v1/models");
  print(options, answer, () =>
    table([
      ["model", "service", "status", "version"],
      ...answer.models.map((model) => [
        String(model.name),
        String(model.service),
        String(model.status ?? ""),
        versionOf(model.serving),
      ]),
    ]),
  );
}

/** Serves the previous version again. */
export async function rollback(model: string, options: GlobalOptions): Promise<void> {
  await using connection = await connect(await configOf(options));
  const answer = await connection.ask<Record<string, unknown>>(
    "POST",
    `/v1/models/${encodeURIComponent(model)}/rollback`,
    {},
  );
  print(options, answer, () => `${model} serves version ${versionOf(answer.serving)}`);
}

function versionOf(serving: unknown): string {
  if (typeof serving === "string") return serving;
  return typeof serving === "object" && serving !== null && "version" in serving ? String(serving.version) : "none";
}
