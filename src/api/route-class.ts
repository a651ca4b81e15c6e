/** What a request is for, as far as it matters under overload: `health` and `admin` are never refused. */
export type RouteClass = "health" | "admin" | "predict" | "features" | "batch";

const PREDICT =
  /^\/v1\/models\/[^/?]+\/(?:predict|invocations)(?:\?|$)|^\/v2\/models\/.*\/infer(?:\?|$)|^\/invocations(?:\?|$)/;
const BATCH =
  /^\/v1\/models\/[^/?]+\/predict-batch|^\/v1\/(?:features\/historical|training-sets)|^\/v1\/sources\/[^/?]+\/events|^\/(?:push|write-to-online-store)/;
const FEATURES = /^\/v1\/features\/online|^\/get-online-features/;

export function routeClassOf(method: string, url: string): RouteClass {
  if (method !== "POST") return url.startsWith("/v") ? "admin" : "health";
  if (PREDICT.test(url)) return "predict";
  if (FEATURES.test(url)) return "features";
  return BATCH.test(url) ? "batch" : "admin";
}
