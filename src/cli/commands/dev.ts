import { isDeepStrictEqual } from "node:util";
import type { ResolvedConfig } from "../../config/config.ts";
import { loadDeclarations } from "../../config/load-declarations.ts";
import { importedFiles, nextRevision } from "../../config/module-loader.ts";
import { isMillraceError } from "../../definitions/errors.ts";
import { renderDiff } from "../../feature_engineering/plan/render-diff.ts";
import { openPlatform, type Platform } from "../../platform.ts";
import { configOf, type GlobalOptions, loggerOf } from "../global-options.ts";
import { stopOnSignal } from "../stop-on-signal.ts";
import { watchFiles } from "../watch-files.ts";

/**
 * As `serve`, and takes changed declarations over while it runs: whatever the configuration and the declarations import
 * is watched. Declarations that cannot be taken over are refused with the reason, and the old ones go on. A changed
 * configuration starts the platform anew in this process.
 */
export async function dev(options: GlobalOptions): Promise<void> {
  let config = await configOf(options);
  let platform: Platform | null = await open(config, 0);
  let stopping = false;
  let working: Promise<void> = Promise.resolve();
  const files = watchFiles(() => {
    working = working.then(() => (stopping ? undefined : change()));
  });
  stopOnSignal(async () => {
    stopping = true;
    files.close();
    await platform?.worker.giveUp().catch(() => {});
    await working;
    await platform?.close();
  });
  files.set(importedFiles());

  async function change(): Promise<void> {
    try {
      const next = await configOf(options, nextRevision());
      const { declarations: _new, ...rest } = next;
      const { declarations: _old, ...before } = config;
      if (platform !== null && isDeepStrictEqual(rest, before)) await takeOver(platform, next);
      else await restart(next);
    } catch (error) {
      const now = platform === null ? "nothing serves until the next change" : "what was there goes on";
      say(`The change is not taken over, and ${now}. ${reasonOf(error)}`);
    }
    files.set(importedFiles());
  }

  async function takeOver(running: Platform, next: ResolvedConfig): Promise<void> {
    const { diff } = await running.takeOver({ declarations: next.declarations });
    config = next;
    say(`Taken over. ${diff.changes.length === 0 ? "No changes of the plan." : renderDiff(diff).trimEnd()}`);
  }

  /** Stores and addresses cannot be changed under what uses them. */
  async function restart(next: ResolvedConfig): Promise<void> {
    const revision = nextRevision();
    await loadDeclarations(next.declarations, revision);
    say("The configuration changed: starting anew.");
    await platform?.close();
    platform = null;
    try {
      platform = await open(next, revision);
      config = next;
    } catch (error) {
      platform = await open(config, revision).catch(() => null);
      throw error;
    }
  }
}

async function open(config: ResolvedConfig, revision: number): Promise<Platform> {
  const platform = await openPlatform(config, { log: loggerOf(config), revision });
  say(`Millrace serves at ${platform.url}`);
  try {
    await platform.ready();
  } catch (error) {
    await platform.close();
    throw error;
  }
  say("Ready.");
  return platform;
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function reasonOf(error: unknown): string {
  if (isMillraceError(error)) return `${error.code}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}
