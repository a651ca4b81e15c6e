import { createHmac, timingSafeEqual } from "node:crypto";
import { channel } from "node:diagnostics_channel";
import { MODEL_WEBHOOK_CHANNEL, type ModelWebhookEvent } from "../channels.ts";
import { modelError } from "./model-errors.ts";

/** A delivery as it came: what is signed is the bytes. */
export interface WebhookDelivery {
  readonly signature: string | undefined;
  readonly id: string | undefined;
  readonly timestamp: string | undefined;
  readonly body: Uint8Array;
}

export interface WebhookMessage {
  /** Which of the configured servers sent it. */
  readonly server: string;
  /** The registered model that it is about; null if it is about something else. */
  readonly model: string | null;
  /** It came before, and was taken then. */
  readonly isRepeated: boolean;
}

/** Checks the webhooks of MLflow servers. */
export interface MlflowWebhooks {
  /**
   * Who sent it and what it is about. It must be signed by a configured server, at most five minutes ago by this
   * machine's clock; a delivery is taken once.
   * @throws `WEBHOOK_REFUSED`, whose message does not say what was wrong with the signature
   */
  take(delivery: WebhookDelivery): WebhookMessage;
}

const TOLERANCE_MS = 5 * 60_000;
/** Only what was signed gets here. */
const MAX_REMEMBERED = 100_000;

const events = channel(MODEL_WEBHOOK_CHANNEL);

/** `secrets`: of each server that may send. `now`: epoch milliseconds. */
export function mlflowWebhooks(secrets: Readonly<Record<string, string>>, now: () => number): MlflowWebhooks {
  /** Ids of deliveries, oldest first, until when they would be within the tolerance. */
  const taken = new Map<string, number>();

  function note(outcome: ModelWebhookEvent["outcome"]): void {
    events.publish({ outcome } satisfies ModelWebhookEvent);
  }

  function refused(why: string): Error {
    note("refused");
    return modelError("WEBHOOK_REFUSED", `The webhook was refused: ${why}.`);
  }

  function serverOf({ signature, id, timestamp, body }: WebhookDelivery): string | undefined {
    const given = /^v1,([A-Za-z0-9+/]{43}=)$/.exec(signature ?? "")?.[1];
    if (given === undefined || id === undefined || timestamp === undefined) return undefined;
    const bytes = Buffer.from(given, "base64");
    let found: string | undefined;
    // All of them, whichever fits: how long it takes says nothing.
    for (const [server, secret] of Object.entries(secrets)) {
      const wanted = createHmac("sha256", secret).update(`${id}.${timestamp}.`).update(body).digest();
      if (timingSafeEqual(wanted, bytes)) found ??= server;
    }
    return found;
  }

  return {
    take(delivery) {
      const server = serverOf(delivery);
      if (server === undefined) {
        throw refused(
          "its signature is not that of a configured MLflow server (connections.mlflow: webhookSecret must be the webhook's secret)",
        );
      }
      const sentAt = Number(delivery.timestamp) * 1_000;
      if (!(Math.abs(now() - sentAt) <= TOLERANCE_MS)) {
        throw refused("it was sent more than five minutes before or after now; compare the clocks of both machines");
      }
      for (const [id, until] of taken) {
        if (until >= now() && taken.size <= MAX_REMEMBERED) break;
        taken.delete(id);
      }
      const name = `${server}\n${delivery.id}`;
      const isRepeated = taken.has(name);
      taken.set(name, sentAt + TOLERANCE_MS);
      const model = modelOf(delivery.body);
      note(isRepeated ? "repeated" : model === null ? "ignored" : "taken");
      return { server, model, isRepeated };
    },
  };
}

function modelOf(body: Uint8Array): string | null {
  try {
    const { entity, data } = JSON.parse(Buffer.from(body).toString("utf8"));
    const isOfModels = typeof entity === "string" && /^(registered_model|model_version)/.test(entity);
    return isOfModels && typeof data?.name === "string" ? data.name : null;
  } catch {
    return null;
  }
}
