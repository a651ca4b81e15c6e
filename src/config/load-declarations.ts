import { pathToFileURL } from "node:url";
import { isMillraceError, millraceError } from "../definitions/errors.ts";
import { collectDeclarations, type Declarations } from "../feature_engineering/plan/collect-declarations.ts";
import { importModule } from "./module-loader.ts";

/**
 * Imports the modules with the declarations; a revision above 0 reads them from their files again.
 * @throws `DECLARATIONS_INVALID` says which file cannot be loaded and why
 */
export async function loadDeclarations(paths: readonly string[], revision = 0): Promise<Declarations> {
  const all: Record<string, unknown> = {};
  for (const [index, path] of paths.entries()) {
    try {
      const module = await importModule(path, revision);
      // Two modules may export one name.
      for (const [name, value] of Object.entries(module)) all[`${index}.${name}`] = value;
      if (Object.keys(module).length === 0) {
        throw millraceError("DECLARATIONS_INVALID", "the module exports nothing.");
      }
    } catch (error) {
      const code = isMillraceError(error) ? `${error.code}: ` : "";
      const why = error instanceof Error ? error.message : String(error);
      // Declarations leave it to the compiler to say what a value must be.
      const advice =
        error instanceof TypeError ? ". A value has not the type that is wanted there: see `npx tsc --noEmit`." : "";
      throw millraceError(
        "DECLARATIONS_INVALID",
        `The declarations in ${path}${lineOf(error, path)} cannot be loaded: ${code}${why}${advice}`,
        { cause: error },
      );
    }
  }
  return collectDeclarations(all);
}

/** Where the module was when it failed, as " (line 12)"; nothing if the error does not tell. */
function lineOf(error: unknown, path: string): string {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  for (const name of [pathToFileURL(path).href, path]) {
    const after = stack.split(name)[1];
    const line = after === undefined ? null : /^(?:\?[^:)\s]*)?:(\d+):\d+/.exec(after);
    if (line !== null) return ` (line ${line[1]})`;
  }
  return "";
}
