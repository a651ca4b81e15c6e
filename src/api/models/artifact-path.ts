import { modelError } from "./model-errors.ts";

/** Folders within folders; deeper files are not part of a model. */
export const MAX_ARTIFACT_DEPTH = 5;
const MAX_SEGMENT = 255;

/**
 * A path that a model registry lists, checked: relative, with forward slashes, and inside of what it was listed in.
 * Nothing is repaired: a registry that lists `../x` or `/etc/x` is not to be trusted with the rest either.
 * @throws MODEL_PATH_OUTSIDE
 */
export function safeArtifactPath(path: string): string {
  const segments = path.split("/");
  const isBad =
    path.length > 1_024 ||
    /[\\:\p{Cc}]/u.test(path) ||
    segments.some((one) => one === "" || one === "." || one === ".." || one.length > MAX_SEGMENT || one.endsWith("."));
  if (!isBad) return path;
  throw modelError(
    "MODEL_PATH_OUTSIDE",
    `The model registry lists the file ${JSON.stringify(path.slice(0, 200))}, which does not name a place inside the model's own folder: nothing of this version was taken.`,
  );
}

const PICKLES = /\.(pkl|pickle|cloudpkl|cloudpickle|joblib|pt|pth|dill)$/i;

/** Pickles are programs. They are never opened here, so they are not fetched either. */
export function isPickle(path: string): boolean {
  return PICKLES.test(path);
}
