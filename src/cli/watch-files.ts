import { type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";

/** Watches files by their folders, so that files that editors replace, and files that are missing yet, are seen too. */
export interface FileWatch {
  /** Watches these files from now on. */
  set(files: Iterable<string>): void;
  close(): void;
}

/** Editors write a file in several steps, milliseconds. */
const QUIET_MS = 100;

export function watchFiles(changed: () => void): FileWatch {
  const folders = new Map<string, { readonly watcher: FSWatcher; names: Set<string> }>();
  let timer: NodeJS.Timeout | null = null;

  function note(): void {
    if (timer !== null) clearTimeout(timer);
    timer = setTimeout(changed, QUIET_MS);
  }

  return {
    set(files) {
      const wanted = new Map<string, Set<string>>();
      for (const file of files) {
        const folder = dirname(file);
        const names = wanted.get(folder) ?? new Set();
        wanted.set(folder, names.add(basename(file)));
      }
      for (const [folder, { watcher }] of folders) {
        if (wanted.has(folder)) continue;
        watcher.close();
        folders.delete(folder);
      }
      for (const [folder, names] of wanted) {
        const known = folders.get(folder);
        if (known !== undefined) {
          known.names = names;
          continue;
        }
        try {
          const entry = {
            names,
            watcher: watch(folder, (_event, name) => {
              if (name === null || entry.names.has(name)) note();
            }),
          };
          // A folder that is deleted meanwhile has nothing to be watched.
          entry.watcher.on("error", () => {});
          folders.set(folder, entry);
        } catch {
          // It does not exist (yet).
        }
      }
    },
    close() {
      if (timer !== null) clearTimeout(timer);
      for (const { watcher } of folders.values()) watcher.close();
      folders.clear();
    },
  };
}
