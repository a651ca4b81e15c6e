import type { ModelMeta } from "../../definitions/model.ts";
import type { ApiContext } from "../api-context.ts";
import type { Prediction } from "../models/model-host.ts";
import { predictForms } from "../predict-forms.ts";
import { largeNumbers, predictNumbers } from "../predict-numbers.ts";
import { answerLater, type DirectWork } from "./direct-exchange.ts";

const JSON_LINE = "content-type: application/json; charset=utf-8\r\n";

/** Does what `POST /v1/models/{name}/predict` does; bodies that are wrong or rare are for the route. */
export function directPredict(api: ApiContext): DirectWork {
  const formOf = predictForms(api);

  function knownModel(name: string): ModelMeta | null {
    try {
      return api.models.get(name).model;
    } catch {
      return null;
    }
  }

  return (head, bytes, from, exchange) => {
    const model = knownModel(head.model);
    if (model === null) return false;
    const { arrived, deadline, inContext } = exchange;
    const form = formOf(model);
    const numbers = largeNumbers(form, bytes, from);
    if (numbers !== null) {
      const options = { startedAt: arrived, ...deadline };
      answerLater(exchange, predictNumbers(api, model, form, numbers, options), (json) =>
        exchange.answer(JSON_LINE, json),
      );
      return true;
    }
    const rows = form.read?.(bytes, from, bytes.length) ?? null;
    if (rows === null) return false;
    function answer(prediction: Prediction): void {
      const id = prediction.id === null ? "" : `millrace-prediction-id: ${prediction.id}\r\n`;
      exchange.answer(id + JSON_LINE, form.write(prediction, false));
    }
    const request = {
      rows,
      ...(deadline.deadline === undefined ? {} : { deadline: deadline.deadline }),
      inContext,
      answered: answer,
      failed: exchange.fail,
    };
    if (api.models.predictSoon(model.name, request, arrived)) return true;
    answerLater(exchange, api.models.predict(model.name, { rows, ...deadline }, arrived), answer);
    return true;
  };
}
