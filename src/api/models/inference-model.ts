import type { ServedModel } from "./served-model.ts";

/** A model as threads load it: by its folder, and only while that has the version's content. */
export interface InferenceModel {
  readonly folder: string;
  readonly etag: string;
  readonly columns: readonly string[];
}

/** As threads would load it; null if they cannot. */
export function inferenceModel({ folder, version, columns }: ServedModel): InferenceModel | null {
  return folder === null ? null : { folder, etag: version.etag, columns: columns.map(({ name }) => name) };
}

/** Equal for equal models: of one content, with one order of columns. */
export function inferenceModelId({ etag, folder, columns }: InferenceModel): string {
  return `${etag}\n${folder}\n${columns.join(",")}`;
}
