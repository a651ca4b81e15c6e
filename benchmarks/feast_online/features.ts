import { entity, featureService, featureView, httpPush, latest, t, tableSource } from "../../src/index.ts";
import { tenColumns, tenOf } from "../numbered-columns.ts";

/** The features that `repository.py` declares, of the same names. */
const userFacts = tableSource("user_facts", {
  table: httpPush(),
  eventTime: "event_timestamp",
  schema: { user_id: t.int64(), event_timestamp: t.timestamp(), ...tenColumns(0), ...tenColumns(1) },
});
const user = entity("user", { user_id: t.int64() });

export const users = featureView("users", {
  source: userFacts,
  entity: user,
  ttl: "30d",
  features: { ...tenOf(0, (name) => latest(userFacts[name])), ...tenOf(1, (name) => latest(userFacts[name])) },
});
export const usersService = featureService("users_v1", {
  features: { ...tenOf(0, (name) => users[name]), ...tenOf(1, (name) => users[name]) },
});
