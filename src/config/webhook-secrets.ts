import type { ResolvedConfig } from "./config.ts";

/** By the name of an MLflow server, what its webhooks are signed with. */
export function webhookSecretsOf({ connections }: ResolvedConfig): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(connections.mlflow ?? {}).flatMap(([server, { webhookSecret }]) =>
      webhookSecret === undefined ? [] : [[server, webhookSecret]],
    ),
  );
}
