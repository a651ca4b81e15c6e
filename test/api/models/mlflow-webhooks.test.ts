import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { mlflowWebhooks, type WebhookDelivery } from "../../../src/api/models/mlflow-webhooks.ts";

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const SECRETS = { default: "secret of one", other: "secret of two" };
const BODY = JSON.stringify({ entity: "model_version_alias", action: "created", data: { name: "risk", alias: "a" } });

/** As MLflow signs it. */
function signed(more: { secret?: string; id?: string; timestamp?: string; body?: string } = {}): WebhookDelivery {
  const { secret = SECRETS.other, id = "d1", timestamp = String(NOW / 1_000), body = BODY } = more;
  const hash = createHmac("sha256", secret).update(`${id}.${timestamp}.${body}`).digest("base64");
  return { signature: `v1,${hash}`, id, timestamp, body: Buffer.from(body) };
}

describe("a webhook of MLflow", () => {
  it("is taken with the signature of one of the servers, whose it then is", () => {
    expect(mlflowWebhooks(SECRETS, () => NOW).take(signed())).toEqual({
      server: "other",
      model: "risk",
      isRepeated: false,
    });
  });

  it("is taken once, however often it comes", () => {
    const webhooks = mlflowWebhooks(SECRETS, () => NOW);
    webhooks.take(signed());
    expect(webhooks.take(signed()).isRepeated).toBe(true);
    expect(webhooks.take(signed({ id: "d2" })).isRepeated).toBe(false);
    // The same id of another server is another delivery.
    expect(webhooks.take(signed({ secret: SECRETS.default })).isRepeated).toBe(false);
  });

  it("is refused when it is older than five minutes, so that what is forgotten cannot be taken again", () => {
    let now = NOW;
    const webhooks = mlflowWebhooks(SECRETS, () => now);
    webhooks.take(signed());
    now += 5 * 60_000;
    expect(webhooks.take(signed()).isRepeated).toBe(true);
    now += 1;
    expect(() => webhooks.take(signed())).toThrow(/five minutes/);
    const early = signed({ timestamp: String(now / 1_000 + 301) });
    expect(() => webhooks.take(early)).toThrow(/five minutes/);
  });

  it.each<[string, Partial<WebhookDelivery>]>([
    ["of another secret", { signature: signed({ secret: "not the secret" }).signature }],
    ["of another body", { body: Buffer.from(BODY.replace("risk", "rusk")) }],
    ["of another id", { id: "d9" }],
    ["of another time", { timestamp: String(NOW / 1_000 + 1) }],
    ["that is missing", { signature: undefined }],
    ["of another version", { signature: signed().signature!.replace("v1", "v2") }],
    ["that is cut", { signature: signed().signature!.slice(0, 20) }],
    ["without its id", { id: undefined }],
  ])("is refused with a signature %s", (_what, more) => {
    const webhooks = mlflowWebhooks(SECRETS, () => NOW);
    try {
      webhooks.take({ ...signed(), ...more } as WebhookDelivery);
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: "WEBHOOK_REFUSED" });
      expect(String(error)).not.toContain("secret of");
    }
  });

  it("is refused when no server has a secret", () => {
    expect(() => mlflowWebhooks({}, () => NOW).take(signed())).toThrow(/signature/);
  });

  it.each([
    ["about a prompt", JSON.stringify({ entity: "prompt", data: { name: "risk" } })],
    ["that is no JSON", "{"],
    ["without a name", JSON.stringify({ entity: "model_version", data: {} })],
  ])("is about no model when it is one %s", (_what, body) => {
    expect(mlflowWebhooks(SECRETS, () => NOW).take(signed({ body })).model).toBeNull();
  });
});
