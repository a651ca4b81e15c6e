import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { millraceError } from "../../definitions/errors.ts";
import { type GlobalOptions, print } from "../global-options.ts";

const FILES: Readonly<Record<string, string>> = {
  "millrace.config.ts": `import { defineConfig } from "millrace";

export default defineConfig({ declarations: "./features.ts" });
`,
  "features.ts": `import { count, entity, featureService, featureView, httpPush, latest, streamSource, sum, t } from "millrace";

export const card = entity("card", { card_id: t.string() });

export const payments = streamSource("payments", {
  stream: httpPush(),
  eventTime: "at",
  lateness: "1m",
  schema: { card_id: t.string(), amount: t.float64(), country: t.string(), at: t.timestamp() },
});

export const activity = featureView("card_activity", {
  source: payments,
  entity: card,
  features: {
    payments: count().over(["1m", "1h"]),
    spend: sum(payments.amount).over(["1h", "24h"]),
    last_country: latest(payments.country),
  },
});

export const fraud = featureService("fraud_v1", {
  features: { payments_1m: activity.payments_1m, spend_24h: activity.spend_24h, last_country: activity.last_country },
});
`,
};

/** Written unless they are there: what an editor needs to check the types, and what is not for git. */
const SURROUNDINGS: Readonly<Record<string, string>> = {
  "tsconfig.json": `{
  "compilerOptions": {
    "target": "esnext",
    "module": "nodenext",
    "strict": true,
    "noEmit": true,
    "allowImportingTsExtensions": true,
    "erasableSyntaxOnly": true,
    "skipLibCheck": true,
    "types": []
  }
}
`,
  ".gitignore": "node_modules\n.millrace\n",
};

/**
 * Writes a project that runs as it is. Declarations that exist are never written over; a package.json that no code
 * depends on yet is told that its files are ES modules.
 */
export async function init(options: GlobalOptions): Promise<void> {
  const there = Object.keys(FILES).filter((file) => existsSync(file));
  if (there.length > 0)
    throw millraceError("FILE_EXISTS", `${there.join(" and ")} exist already: choose an empty folder.`);
  const surroundings = Object.entries(SURROUNDINGS).filter(([file]) => !existsSync(file));
  for (const [file, text] of [...Object.entries(FILES), ...surroundings]) await writeFile(file, text);
  const files = [...Object.keys(FILES), ...surroundings.map(([file]) => file)];
  if (await declareModules()) files.push("package.json");
  print(
    options,
    { files },
    () => `Wrote ${files.slice(0, -1).join(", ")} and ${files.at(-1)}.

  npx millrace dev
  curl -s localhost:8080/v1/sources/payments/events -H 'content-type: application/json' -d '[{"card_id":"c1","amount":12.5,"country":"BE","at":"'$(date -u +%FT%TZ)'"}]'
  npx millrace get fraud_v1 card_id=c1`,
  );
}

/** Makes or changes package.json so that the project's files are ES modules; true if it did. One with code stays. */
async function declareModules(): Promise<boolean> {
  if (!existsSync("package.json")) {
    await writeFile("package.json", `${JSON.stringify({ private: true, type: "module" }, null, 2)}\n`);
    return true;
  }
  const parsed = JSON.parse(await readFile("package.json", "utf8")) as { readonly type?: string; main?: string };
  if (parsed.type === "module" || existsSync(parsed.main ?? "index.js")) return false;
  await writeFile("package.json", `${JSON.stringify({ ...parsed, type: "module" }, null, 2)}\n`);
  return true;
}
