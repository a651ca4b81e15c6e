import { globSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { millraceError } from "../../definitions/errors.ts";
import { type GlobalOptions, print } from "../global-options.ts";

export interface DashboardsOptions extends GlobalOptions {
  readonly out: string;
  /** Where the pages of the alerts can be read; a URL. */
  readonly runbooks?: string;
}

/** In the package as in the repository. */
const DEPLOY = fileURLToPath(new URL("../../../deploy", import.meta.url));
/** What the alerts' `runbook_url` begins with as it is committed. */
const RUNBOOKS = "docs/runbooks/";

/** Writes the dashboards of Grafana, the rules of Prometheus and the provisioning of both; existing files are replaced. */
export async function dashboards(options: DashboardsOptions): Promise<void> {
  const { out, runbooks } = options;
  if (runbooks !== undefined && !URL.canParse(runbooks)) {
    throw millraceError(
      "OPTION_INVALID",
      `--runbooks must be a URL, such as https://wiki.example/runbooks, and is '${runbooks}'.`,
    );
  }
  const files = globSync("{prometheus,grafana}/**/*.{json,yml}", { cwd: DEPLOY }).sort();
  for (const file of files) {
    const text = await readFile(path.join(DEPLOY, file), "utf8");
    const target = path.join(out, file);
    const pages = runbooks?.replace(/\/$/, "");
    try {
      await mkdir(path.dirname(target), { recursive: true });
      await writeFile(target, pages === undefined ? text : text.replaceAll(RUNBOOKS, () => `${pages}/`));
    } catch (cause) {
      throw millraceError("FILE_UNWRITABLE", `The file ${target} cannot be written: check its folder (--out).`, {
        cause,
      });
    }
  }
  print(options, { out, files }, () => files.map((file) => path.join(out, file)).join("\n"));
}
