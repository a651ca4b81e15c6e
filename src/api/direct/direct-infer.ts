import type { ApiContext } from "../api-context.ts";
import { inferModel, readJsonBytes } from "../open_inference/infer-model.ts";
import { answerLater, type DirectWork, headerLines } from "./direct-exchange.ts";

/** Does what `POST /v2/models/{name}/infer` does. */
export function directInfer(api: ApiContext): DirectWork {
  return (head, bytes, from, exchange) => {
    const { arrived, deadline } = exchange;
    const infer = async (): ReturnType<typeof inferModel> =>
      inferModel(api, {
        model: head.model,
        body: bytes.subarray(from),
        jsonBytes: readJsonBytes(head.jsonBytes),
        acceptEncoding: head.acceptEncoding,
        startedAt: arrived,
        deadline,
      });
    answerLater(exchange, infer(), ({ headers, body }) => exchange.answer(headerLines(headers), body));
    return true;
  };
}
