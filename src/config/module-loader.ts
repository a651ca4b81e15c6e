import { readFileSync } from "node:fs";
import { createRequire, registerHooks } from "node:module";
import { sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/**
 * Imports the user's modules, and imports them anew: under a revision above 0 a module and every local module that it
 * imports, directly or not, are read from their files again. Packages, and Millrace itself, stay the ones that are
 * loaded. What was loaded before stays in memory; each thread has modules of its own.
 */

const REVISION = "millrace-revision";
/** Files that `importModule` was asked for, and what they import. */
const loaded = new Set<string>();
const own = fileURLToPath(new URL("../", import.meta.url));
const require = createRequire(import.meta.url);
let hooked = false;
let revisions = 0;

/** A revision under which this thread has imported nothing yet. */
export function nextRevision(): number {
  return ++revisions;
}

/** Revision 0 takes a module that is loaded already. */
export async function importModule(path: string, revision: number): Promise<Readonly<Record<string, unknown>>> {
  if (!hooked) hook();
  loaded.add(path);
  const url = pathToFileURL(path);
  if (revision > 0) {
    url.searchParams.set(REVISION, String(revision));
    for (const file of loaded) delete require.cache[file];
  }
  return (await import(url.href)) as Readonly<Record<string, unknown>>;
}

/** The local files that were imported so far, whether they could be loaded or not. */
export function importedFiles(): ReadonlySet<string> {
  return loaded;
}

function hook(): void {
  hooked = true;
  registerHooks({
    // A package.json of `npm init` says "commonjs"; declarations are ES modules all the same.
    load(url, context, nextLoad) {
      const file = localFile(url);
      const isModule =
        context.format === "commonjs-typescript" &&
        !context.conditions.includes("require") &&
        file !== null &&
        loaded.has(file) &&
        /^\s*(?:import|export)\b/m.test(readFileSync(file, "utf8"));
      return nextLoad(url, isModule ? { ...context, format: "module-typescript" } : context);
    },
    resolve(specifier, context, nextResolve) {
      const parent = localFile(context.parentURL);
      if (parent === null || !loaded.has(parent)) return nextResolve(specifier, context);
      try {
        const resolved = nextResolve(specifier, context);
        const file = localFile(resolved.url);
        if (file === null) return resolved;
        loaded.add(file);
        const revision = new URL(context.parentURL!).searchParams.get(REVISION);
        // What is required has no query; it was taken from the cache.
        if (revision === null || context.conditions.includes("require")) return resolved;
        const url = new URL(resolved.url);
        url.searchParams.set(REVISION, revision);
        return { ...resolved, url: url.href };
      } catch (error) {
        // A file that is missing may come.
        if (/^\.{0,2}\//.test(specifier)) loaded.add(fileURLToPath(new URL(specifier, context.parentURL)));
        throw error;
      }
    },
  });
}

/** Null for packages, built-ins and Millrace's own files. */
function localFile(url: string | undefined): string | null {
  if (url === undefined || !url.startsWith("file:")) return null;
  const file = fileURLToPath(url);
  return file.startsWith(own) || file.includes(`${sep}node_modules${sep}`) ? null : file;
}
