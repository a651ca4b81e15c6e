import { millraceError } from "../definitions/errors.ts";
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
      const code =
        error instanceof Error && "code" in error && error.name === "MillraceError" ? `${String(error.code)}: ` : "";
      throw millraceError(
        "DECLARATIONS_INVALID",
        `The declarations in ${path} cannot be loaded: ${code}${error instanceof Error ? error.message : String(error)}`,
        { cause: error },
      );
    }
  }
  return collectDeclarations(all);
}
