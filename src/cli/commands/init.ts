import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
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

/** Writes a project that runs as it is; existing files stay. */
export async function init(options: GlobalOptions): Promise<void> {
  const there = Object.keys(FILES).filter((file) => existsSync(file));
  if (there.length > 0)
    throw millraceError("FILE_EXISTS", `${there.join(" and ")} exist already: choose an empty folder.`);
  for (const [file, text] of Object.entries(FILES)) await writeFile(file, text);
  print(
    options,
    { files: Object.keys(FILES) },
    () => `Wrote ${Object.keys(FILES).join(" and ")}.

  npx millrace dev
  curl -s localhost:8080/v1/sources/payments/events -H 'content-type: application/json' -d '[{"card_id":"c1","amount":12.5,"country":"BE","at":"'$(date -u +%FT%TZ)'"}]'
  npx millrace get fraud_v1 card_id=c1`,
  );
}
