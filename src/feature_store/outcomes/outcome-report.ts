import type { OutcomeTask } from "../../definitions/outcome.ts";
import type { BoundVerdict } from "../../feature_engineering/outcomes/broken-bounds.ts";
import type { OutcomeQuality } from "../../feature_engineering/outcomes/outcome-quality.ts";

/** How good predictions were whose fate became known within a window. */
export interface OutcomeShare {
  /** Of the predictions with an outcome. */
  readonly quality: OutcomeQuality;
  /** Predictions without one, though its time has passed. */
  readonly unmatched: number;
  /** Predictions with an outcome that cannot be compared: the model answered null, or the class is not known. */
  readonly unscored: number;
}

export interface OutcomeWindow extends OutcomeShare {
  /** As declared; `recent`: the last 500 pairs. */
  readonly name: string;
  /** The same by the version of the model that answered. */
  readonly versions: readonly (OutcomeShare & { readonly version: string })[];
}

export interface OutcomeReport {
  readonly outcome: string;
  readonly model: string;
  readonly service: string;
  readonly task: OutcomeTask;
  /** The source's, epoch milliseconds: the end of the windows. */
  readonly clock: number;
  /** Predictions whose outcome may still come. */
  readonly waiting: number;
  /** Predictions that were more than are held. */
  readonly dropped: number;
  /** All logged predictions from this moment on are in; null: all that are kept. */
  readonly completeFrom: number | null;
  /** `recent`, then those declared. */
  readonly windows: readonly OutcomeWindow[];
  /** The declared bounds, held against `recent`. */
  readonly bounds: readonly BoundVerdict[];
}
