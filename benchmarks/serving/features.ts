import {
  entity,
  featureService,
  featureView,
  httpPush,
  latest,
  model,
  modelFolder,
  requestSource,
  t,
  tableSource,
} from "../../src/index.ts";
import { tenColumns, tenOf } from "../numbered-columns.ts";

/** Where `train.py` wrote the model. */
const folder = process.env.SERVING_MODEL ?? "/nowhere";

/** All 30 features come with the request. */
const request = requestSource({ ...tenColumns(0), ...tenColumns(1), ...tenColumns(2) });
const whole = featureService("whole_v1", {
  features: {
    ...tenOf(0, (name) => request[name]),
    ...tenOf(1, (name) => request[name]),
    ...tenOf(2, (name) => request[name]),
  },
});
export const wholeModel = model("whole", {
  inputs: whole,
  output: { probability: t.float64() },
  source: modelFolder(folder),
});

/** Ten of them for each of three entities. */
const userFacts = tableSource("user_facts", {
  table: httpPush(),
  eventTime: "at",
  schema: { user_id: t.int64(), at: t.timestamp(), ...tenColumns(0) },
});
export const userView = featureView("users", {
  source: userFacts,
  entity: entity("user", { user_id: t.int64() }),
  ttl: "30d",
  features: tenOf(0, (name) => latest(userFacts[name])),
});
const merchantFacts = tableSource("merchant_facts", {
  table: httpPush(),
  eventTime: "at",
  schema: { merchant_id: t.int64(), at: t.timestamp(), ...tenColumns(1) },
});
export const merchantView = featureView("merchants", {
  source: merchantFacts,
  entity: entity("merchant", { merchant_id: t.int64() }),
  ttl: "30d",
  features: tenOf(1, (name) => latest(merchantFacts[name])),
});
const deviceFacts = tableSource("device_facts", {
  table: httpPush(),
  eventTime: "at",
  schema: { device_id: t.int64(), at: t.timestamp(), ...tenColumns(2) },
});
export const deviceView = featureView("devices", {
  source: deviceFacts,
  entity: entity("device", { device_id: t.int64() }),
  ttl: "30d",
  features: tenOf(2, (name) => latest(deviceFacts[name])),
});
const lookup = featureService("lookup_v1", {
  features: {
    ...tenOf(0, (name) => userView[name]),
    ...tenOf(1, (name) => merchantView[name]),
    ...tenOf(2, (name) => deviceView[name]),
  },
});
export const lookupModel = model("looked_up", {
  inputs: lookup,
  output: { probability: t.float64() },
  source: modelFolder(folder),
});
