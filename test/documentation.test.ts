import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");
const PAGES = globSync("{*.md,docs/**/*.md,benchmarks/*.md}", { cwd: ROOT }).sort();
const SOURCE = globSync(["{src,scripts,benchmarks,examples}/**/*.ts", "package.json"], { cwd: ROOT })
  .map(read)
  .join("\n");
/** Whether a name that the pages give stands in the code. */
const inSource = (name: string): boolean => SOURCE.includes(name);

/** GitHub's name of a heading. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/[^\p{L}\p{N}_\- ]/gu, "")
    .trim()
    .replaceAll(" ", "-");
}

function anchorsOf(page: string): readonly string[] {
  return [...read(page).matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchor(heading!));
}

/** What the pages name and the code does not have, as "page: name". */
function unknown(pattern: RegExp, isKnown = inSource): readonly string[] {
  return PAGES.flatMap((page) =>
    [...read(page).matchAll(pattern)].filter(([, name]) => !isKnown(name!)).map(([, name]) => `${page}: ${name}`),
  );
}

it("links to pages, headings and files that exist", () => {
  const broken = PAGES.flatMap((page) =>
    [
      ...read(page)
        .replace(/```.*?```/gs, "")
        .matchAll(/\]\(([^)\s]+)\)/g),
    ]
      .map(([, link]) => link!)
      .filter((link) => !/^https?:/.test(link))
      .filter((link) => {
        const [path = "", heading] = link.split("#");
        const target = path === "" ? page : normalize(join(dirname(page), path));
        if (!existsSync(join(ROOT, target))) return true;
        return heading !== undefined && target.endsWith(".md") && !anchorsOf(target).includes(heading);
      })
      .map((link) => `${page}: ${link}`),
  );
  expect(PAGES.length).toBeGreaterThan(60);
  expect(broken).toEqual([]);
});

it("names error codes that exist in the tables of codes", () => {
  const pages = ["docs/troubleshooting.md", "docs/ingestion.md", "docs/beam.md"];
  for (const page of pages) expect(PAGES).toContain(page);
  const codes = pages.flatMap((page) =>
    [...read(page).matchAll(/^\| (`[A-Z].*?) \|/gm)].flatMap(
      ([, cell]) => cell!.match(/(?<=`)[A-Z][A-Z\d_]+(?=`)/g) ?? [],
    ),
  );
  expect(codes.length).toBeGreaterThan(80);
  expect(codes.filter((code) => !inSource(`"${code}"`))).toEqual([]);
});

it("names variables that are read", () => {
  expect(unknown(/\b(MILLRACE_[A-Z\d_]+[A-Z\d])\b/g)).toEqual([]);
});

it("names benchmarks and acceptance runs that exist", () => {
  const known = new Set(
    globSync("benchmarks/**/*.ts", { cwd: ROOT }).flatMap((file) => read(file).match(/[a-z][a-z\d-]+/g) ?? []),
  );
  expect(unknown(/npm run (?:bench|accept) -- ([a-z][a-z\d-]+)/g, (name) => known.has(name))).toEqual([]);
});
