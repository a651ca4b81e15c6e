import { connect } from "../connect.ts";
import { configOf, type GlobalOptions, print, table } from "../global-options.ts";

interface Filter extends GlobalOptions {
  readonly kind?: string;
  readonly owner?: string;
  readonly tag?: string;
  readonly at?: string;
}
interface Entry {
  readonly kind: string;
  readonly name: string;
  readonly owner: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly description: string;
  readonly found: readonly string[];
}
interface Node {
  readonly kind: string;
  readonly name: string;
  readonly version: string | null;
}
interface LineageAnswer {
  readonly node: Node;
  readonly upstream: readonly Node[];
  readonly downstream: readonly Node[];
  readonly columns: readonly {
    readonly kind: string;
    readonly name: string;
    readonly feature: string;
    readonly columns: readonly string[];
    readonly request: readonly string[];
  }[];
}
interface Version {
  readonly version: number;
  readonly hash: string;
  readonly applied_at: string;
}
interface Served {
  readonly model: string;
  readonly version: string;
  readonly service: string;
  readonly plan_hash: string | null;
  readonly served_at: string;
}

/** Everything that is declared, or what fits the filter. */
export async function list(options: Filter): Promise<void> {
  await showEntries(options, undefined);
}

/** What has all the words somewhere, and where. */
export async function search(words: readonly string[], options: Filter): Promise<void> {
  await showEntries(options, words.join(" "));
}

/** One entry as the plan has it. */
export async function show(name: string, options: Filter): Promise<void> {
  const answer = await ask<{ readonly entry: object }>(options, `/v1/registry/entries/${encodeURIComponent(name)}`, {
    kind: options.kind,
    at: options.at,
  });
  print(options, answer, () => JSON.stringify(answer.entry, null, 2));
}

/** What an entry reads and who reads it. */
export async function lineage(name: string, column: string | undefined, options: Filter): Promise<void> {
  const answer = await ask<LineageAnswer>(options, `/v1/registry/lineage/${encodeURIComponent(name)}`, {
    kind: options.kind,
    at: options.at,
    column,
  });
  const line = (node: Node): string => `  ${node.kind} ${node.version ?? node.name}`;
  print(options, answer, () =>
    [
      `${answer.node.kind} ${answer.node.version ?? name}`,
      ...(answer.upstream.length > 0 ? ["reads", ...answer.upstream.map(line)] : []),
      ...(answer.downstream.length > 0 ? ["is read by", ...answer.downstream.map(line)] : []),
      ...(answer.columns.length > 0
        ? [
            table([
              ["feature", "from"],
              ...answer.columns.map((one) => [
                `${one.name}.${one.feature}`,
                [...one.columns, ...one.request.map((part) => `request.${part}`)].join(", "),
              ]),
            ]),
          ]
        : []),
    ].join("\n"),
  );
}

/** Versions of the plan and of models. */
export async function history(options: GlobalOptions): Promise<void> {
  await using connection = await connect(await configOf(options));
  const { versions } = await connection.ask<{ versions: readonly Version[] }>("GET", "/v1/registry/versions");
  const served = await connection.ask<{ served_models: readonly Served[] }>("GET", "/v1/registry/served-models");
  print(options, { versions, ...served }, () =>
    [
      table([
        ["version", "plan", "applied"],
        ...versions.map(({ version, hash, applied_at }) => [String(version), hash.slice(0, 12), applied_at]),
      ]),
      ...(served.served_models.length === 0
        ? []
        : [
            table([
              ["model", "version", "service", "plan", "serving since"],
              ...served.served_models.map((one) => [
                one.model,
                one.version,
                one.service,
                one.plan_hash?.slice(0, 12) ?? "",
                one.served_at,
              ]),
            ]),
          ]),
    ].join("\n\n"),
  );
}

/** What changed from one version of the plan to another, default the current one. */
export async function diff(from: string, to: string | undefined, options: GlobalOptions): Promise<void> {
  const answer = await ask<{ readonly text: string }>(options, "/v1/registry/diff", { from, to });
  print(options, answer, () => answer.text.trimEnd());
}

async function showEntries(options: Filter, text: string | undefined): Promise<void> {
  const { kind, owner, tag, at } = options;
  const answer = await ask<{ readonly entries: readonly Entry[] }>(options, "/v1/registry", {
    kind,
    owner,
    tag,
    at,
    text,
  });
  print(options, answer, () =>
    answer.entries.length === 0
      ? "Nothing."
      : table([
          ["kind", "name", "owner", "tags", text === undefined ? "description" : "found in"],
          ...answer.entries.map((entry) => [
            entry.kind,
            entry.name,
            entry.owner,
            Object.entries(entry.tags)
              .map(([name, value]) => `${name}=${value}`)
              .join(" "),
            text === undefined ? entry.description : entry.found.join(" "),
          ]),
        ]),
  );
}

async function ask<T>(
  options: GlobalOptions,
  path: string,
  query: Readonly<Record<string, string | undefined>>,
): Promise<T> {
  await using connection = await connect(await configOf(options));
  const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return await connection.ask<T>("GET", `${path}?${new URLSearchParams(given)}`);
}
