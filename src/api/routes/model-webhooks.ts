import type { FastifyInstance } from "fastify";
import type { ApiContext } from "../api-context.ts";
import { mlflowWebhooks } from "../models/mlflow-webhooks.ts";
import { webhookSchema } from "../schemas/models.ts";

/** Of MLflow's own webhooks, which are small. */
const BODY_BYTES = 256 * 1024;

/** Where MLflow says that a model has a new version, or that an alias moved. Signed, so it needs no other key. */
export function modelWebhookRoutes(app: FastifyInstance, api: ApiContext): void {
  const webhooks = mlflowWebhooks(api.webhookSecrets ?? {}, Date.now);
  app.register(async (scope) => {
    // The signature is of the bytes.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
    scope.post(
      "/v1/webhooks/mlflow",
      { schema: webhookSchema, bodyLimit: BODY_BYTES },
      async ({ headers, body }, reply) => {
        const { server, model, isRepeated } = webhooks.take({
          signature: one(headers["x-mlflow-signature"]),
          id: one(headers["x-mlflow-delivery-id"]),
          timestamp: one(headers["x-mlflow-timestamp"]),
          body: Buffer.isBuffer(body) ? body : Buffer.alloc(0),
        });
        // Not waited for: MLflow gives an answer few seconds.
        const models = isRepeated || model === null ? [] : api.models.told(server, model);
        reply.code(202);
        return { status: isRepeated ? "repeated" : models.length === 0 ? "ignored" : "taken", models };
      },
    );
  });
}

function one(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === "string" ? header : undefined;
}
