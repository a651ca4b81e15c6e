import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ArtifactCache, artifactCache } from "../../../src/api/models/artifact-cache.ts";
import { safeArtifactPath } from "../../../src/api/models/artifact-path.ts";
import type { ArtifactSet } from "../../../src/api/models/artifact-set.ts";
import { folderEtag, folderState } from "../../../src/api/models/folder-etag.ts";
import { mlflowFileRegistry } from "../../../src/api/models/mlflow-file-registry.ts";
import { mlflowServerRegistry } from "../../../src/api/models/mlflow-server-registry.ts";
import { modelError } from "../../../src/api/models/model-errors.ts";
import { codeOf } from "./fixtures.ts";

let folder: string;
let caches: ArtifactCache[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-artifacts-"));
  caches = [];
});
afterEach(async () => {
  for (const cache of caches) cache.close();
  await rm(folder, { recursive: true, force: true });
});

function open(maxBytes = 2 ** 20): ArtifactCache {
  const cache = artifactCache({ folder: join(folder, "cache"), maxBytes });
  caches.push(cache);
  return cache;
}

/** A set that counts what is read of it. */
function setOf(key: string, files: Readonly<Record<string, string>>): ArtifactSet & { readonly reads: string[] } {
  const reads: string[] = [];
  return {
    key,
    reads,
    list: async () => Object.entries(files).map(([path, text]) => ({ path, sizeBytes: Buffer.byteLength(text) })),
    async read(path, from) {
      reads.push(`${path}@${from}`);
      const bytes = Buffer.from(files[path]!);
      return {
        from,
        totalBytes: bytes.length,
        bytes: (async function* () {
          yield new Uint8Array(bytes.subarray(from));
        })(),
      };
    },
  };
}

const FILES = { MLmodel: "flavors: {}", "data/model.txt": "trees", "data/more/x": "" };

describe("the cache of model files", () => {
  it("makes a folder of a set, with the etag that the folder has, and reads nothing twice, in a later process either", async () => {
    const set = setOf("a", FILES);
    const first = await open().fetch(set);
    for (const [path, text] of Object.entries(FILES))
      expect(await readFile(join(first.folder, path), "utf8")).toBe(text);
    const { files } = (await folderState(first.folder))!;
    expect(await folderEtag(first.folder, files)).toBe(first.etag);
    const { length } = set.reads;
    expect(await open().fetch(set)).toEqual(first);
    expect(set.reads.length).toBe(length);
  });

  it("keeps equal files of different versions once", async () => {
    const cache = open();
    const one = await cache.fetch(setOf("a", { MLmodel: "1", big: "same" }));
    const two = await cache.fetch(setOf("b", { MLmodel: "2", big: "same" }));
    const [a, b] = await Promise.all([one, two].map((model) => stat(join(model.folder, "big"))));
    expect(a!.ino).toBe(b!.ino);
  });

  it("downloads again what is no longer what it was", async () => {
    const set = setOf("a", FILES);
    const { folder: tree } = await open().fetch(set);
    await chmod(join(tree, "data/model.txt"), 0o644);
    await writeFile(join(tree, "data/model.txt"), "trEEs");
    const { length } = set.reads;
    const again = await open().fetch(set);
    expect(await readFile(join(again.folder, "data/model.txt"), "utf8")).toBe("trees");
    expect(set.reads.length).toBeGreaterThan(length);
  });

  it("goes on where an interrupted download ended, also in another process", async () => {
    const text = "0123456789".repeat(1_000);
    const whole = setOf("a", { big: text });
    const killed = Promise.withResolvers<void>();
    const broken: ArtifactSet = {
      ...whole,
      async read() {
        return {
          from: 0,
          totalBytes: text.length,
          bytes: (async function* () {
            yield new Uint8Array(Buffer.from(text.slice(0, 4_000)));
            await killed.promise;
            throw modelError("MODEL_CLOSED", "");
          })(),
        };
      },
    };
    const gone = open()
      .fetch(broken)
      .catch(() => {});
    const parts = join(folder, "cache", "parts");
    await expect
      .poll(
        async () =>
          (
            await Promise.all(
              (await readdir(parts).catch(() => [])).map(async (n) => (await stat(join(parts, n))).size),
            )
          )[0],
      )
      .toBe(4_000);
    // Its lock is that of a process that is gone.
    for (const name of await readdir(join(folder, "cache", "locks"))) {
      await writeFile(join(folder, "cache", "locks", name), JSON.stringify({ pid: 2 ** 30, host: hostname() }));
    }
    const { folder: tree } = await open().fetch(whole);
    expect(whole.reads).toEqual(["big@4000"]);
    expect(await readFile(join(tree, "big"), "utf8")).toBe(text);
    killed.resolve();
    await gone;
  });

  it("comes whole, whatever becomes of the files that it shares with other versions meanwhile", async () => {
    const cache = open();
    const shared = { MLmodel: "same", env: "python" };
    const first = await cache.fetch(setOf("a", { ...shared, x: "1" }));
    const set = setOf("b", { ...shared, x: "2" });
    const disturbed: ArtifactSet = {
      ...set,
      // The others of its files are down: a bad version of the same files is given up, and space is made.
      async read(path, from) {
        if (path === "x") {
          await cache.discard("a");
          await rm(join(folder, "cache", "blobs"), { recursive: true });
        }
        return set.read(path, from);
      },
    };
    const fetched = await cache.fetch(disturbed);
    for (const [path, text] of Object.entries({ ...shared, x: "2" })) {
      expect(await readFile(join(fetched.folder, path), "utf8")).toBe(text);
    }
    expect(await stat(first.folder).catch(() => null)).toBeNull();
    expect(await readdir(join(folder, "cache", "parts"))).toEqual([]);
  });

  it("leaves a folder alone that another version of the same content uses when one is given up", async () => {
    const cache = open();
    const { folder: tree } = await cache.fetch(setOf("a", FILES));
    await cache.fetch(setOf("b", FILES));
    await cache.discard("b");
    expect(await readFile(join(tree, "data/model.txt"), "utf8")).toBe("trees");
    await cache.discard("a");
    expect(await stat(tree).catch(() => null)).toBeNull();
  });

  it("does not download again what a broken download of several files had whole", async () => {
    const set = setOf("a", FILES);
    const failing: ArtifactSet = {
      ...set,
      read: async (path, from) => {
        if (path === "data/more/x") throw modelError("MODEL_CORRUPT", "a test");
        return set.read(path, from);
      },
    };
    expect(await codeOf(() => open().fetch(failing))).toBe("MODEL_CORRUPT");
    expect(set.reads).toEqual(["MLmodel@0", "data/model.txt@0"]);
    await open().fetch(set);
    expect(set.reads.slice(2)).toEqual(["data/more/x@0"]);
  });

  it("leaves pickles out", async () => {
    const set = setOf("a", { MLmodel: "x", "model.pkl": "code", "x.joblib": "code", "d/python_model.pkl": "code" });
    const { folder: tree } = await open().fetch(set);
    expect(await readdir(tree)).toEqual(["MLmodel"]);
    expect(set.reads).toEqual(["MLmodel@0"]);
  });

  it("removes the versions that were used least recently when it is full, never one that is in use", async () => {
    const old = new Date(Date.now() - 3_600_000);
    const trees = (): Promise<number> => readdir(join(folder, "cache", "trees")).then((names) => names.length);
    const cache = open(2_500);
    for (const [i, key] of ["a", "b", "c"].entries()) {
      await cache.fetch(setOf(key, { MLmodel: key.repeat(1_000) }));
      if (i === 0) cache.release("a");
      for (const name of await readdir(join(folder, "cache", "versions"))) {
        await utimes(join(folder, "cache", "versions", name), old, old);
      }
    }
    // "a" was released; "b" and "c" are in use.
    expect(await trees()).toBe(2);
    const again = setOf("a", { MLmodel: "a".repeat(1_000) });
    await cache.fetch(again);
    expect(again.reads.length).toBe(1);
    expect(await trees()).toBe(3);
    const blobs = await readdir(join(folder, "cache", "blobs"), { recursive: true });
    expect(blobs.filter((name) => name.length > 60).length).toBe(3);
  });

  it("refuses a set that is larger than it may be, before it is downloaded, and one that says it is smaller than it is", async () => {
    const set = setOf("a", { MLmodel: "x".repeat(100) });
    expect(await codeOf(() => open(99).fetch(set))).toBe("MODEL_TOO_LARGE");
    expect(set.reads).toEqual([]);
    const lying = { ...set, key: "b", list: async () => [{ path: "MLmodel", sizeBytes: null }] };
    expect(await codeOf(() => open(99).fetch(lying))).toBe("MODEL_TOO_LARGE");
  });

  it("is used by several processes at once: one downloads, all have the same", async () => {
    let requests = 0;
    const big = Buffer.alloc(300_000, "x");
    const server: Server = createServer((request, response) => {
      const { pathname } = new URL(request.url!, "http://x");
      if (pathname.endsWith("/model.bin")) {
        requests++;
        response.writeHead(200, { "content-length": big.length });
        response.write(big.subarray(0, 1_000));
        setTimeout(() => response.end(big.subarray(1_000)), 300);
      } else if (pathname.endsWith("/get-download-uri")) response.end('{"artifact_uri":"mlflow-artifacts:/0/m"}');
      else if (pathname.endsWith("/artifacts"))
        response.end(`{"files":[{"path":"model.bin","file_size":${big.length}}]}`);
      else response.end('{"model_version":{"version":"1","creation_timestamp":5}}');
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const module = (name: string): string =>
      pathToFileURL(join(import.meta.dirname, "../../../src/api/models", name)).href;
    const script = `
      import { artifactCache } from ${JSON.stringify(module("artifact-cache.ts"))};
      import { mlflowServerRegistry } from ${JSON.stringify(module("mlflow-server-registry.ts"))};
      const cache = artifactCache({ folder: ${JSON.stringify(join(folder, "cache"))}, maxBytes: 1e9 });
      const [version] = await mlflowServerRegistry({ url: ${JSON.stringify(url)} }).versions("m", { alias: "a" });
      const fetched = await cache.fetch(await version.artifacts());
      process.stdout.write(fetched.etag);
      process.exit(0);`;
    const etags = await Promise.all(
      Array.from({ length: 3 }, async () => {
        const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
          stdio: ["ignore", "pipe", "inherit"],
        });
        let said = "";
        for await (const part of child.stdout!) said += part;
        return said;
      }),
    );
    server.closeAllConnections();
    server.close();
    expect(new Set(etags).size).toBe(1);
    expect(etags[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(requests).toBe(1);
  });
});

describe("a path that a registry lists", () => {
  it.each([
    "../x",
    "a/../../x",
    "/etc/passwd",
    "//x",
    "a//b",
    "",
    ".",
    "a/./b",
    "..\\x",
    "C:\\x",
    "C:/x",
    "a\0b",
    "a\nb",
    "x/",
    "a.",
    "x".repeat(300),
    `${"a/".repeat(600)}b`,
  ])("is refused when it is %j", async (path) => {
    expect(await codeOf(() => safeArtifactPath(path))).toBe("MODEL_PATH_OUTSIDE");
  });

  it("stays inside of its folder, whatever it is, or is refused", () => {
    const piece = fc.oneof(fc.constantFrom("..", ".", "", "a", "..a", "a..b", "C:", "\\", "\0", "é"), fc.string());
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), fc.constantFrom("/", "\\", "//"), (pieces, separator) => {
        const path = pieces.join(separator);
        let safe: string;
        try {
          safe = safeArtifactPath(path);
        } catch {
          return;
        }
        expect(safe).toBe(path);
        expect(join("/root", safe)).toBe(`/root/${safe}`);
      }),
    );
  });
});

describe("a hostile registry", () => {
  let server: Server | null = null;
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
  });

  async function hostile(files: readonly object[], uri = "mlflow-artifacts:/0/m"): Promise<ArtifactSet> {
    server = createServer((request, response) => {
      const { pathname } = new URL(request.url!, "http://x");
      if (pathname.endsWith("/get-download-uri")) response.end(JSON.stringify({ artifact_uri: uri }));
      else if (pathname.endsWith("/artifacts")) response.end(JSON.stringify({ files }));
      else if (pathname.includes("/artifacts/")) response.end("x");
      else response.end('{"model_version":{"version":"1"}}');
    });
    await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const [version] = await mlflowServerRegistry({ url, retries: 0 }).versions("m", { version: "1" });
    return version!.artifacts();
  }

  it.each(["../x", "/etc/cron.d/x", "..", "a\\..\\..\\x", "sub/../../x"])(
    "that lists %j gets nothing written outside, nor anything of the version taken",
    async (path) => {
      const set = await hostile([
        { path: "MLmodel", file_size: 1 },
        { path, file_size: 1 },
      ]);
      expect(await codeOf(() => open().fetch(set))).toBe("MODEL_PATH_OUTSIDE");
      expect(await readdir(folder)).toEqual(["cache"]);
      expect(await readdir(join(folder, "cache", "trees"))).toEqual([]);
    },
  );

  it("that lists folders without end is bounded", async () => {
    const set = await hostile([
      { path: "d", is_dir: true },
      { path: "f", file_size: 1 },
    ]);
    const { folder: tree } = await open().fetch(set);
    const files = (await readdir(tree, { recursive: true })).filter((name) => name.endsWith("f"));
    expect(files.map((name) => name.split("/").length)).toEqual([1, 2, 3, 4, 5].reverse().sort());
  });

  it.each([
    ["mlflow-artifacts:/../../etc", "MODEL_PATH_OUTSIDE"],
    ["s3://bucket/x", "MODEL_SERVER_UNKNOWN"],
    ["/var/models", "MODEL_SERVER_UNKNOWN"],
    ["file:///etc", "MODEL_SERVER_UNKNOWN"],
  ])("that keeps the files at %s gives the code %s", async (uri, code) => {
    expect(await codeOf(() => hostile([], uri))).toBe(code);
  });
});

describe("a file store of MLflow", () => {
  async function store(location: string): Promise<string> {
    const root = join(folder, "mlruns");
    const version = join(root, "models", "m", "version-1");
    await mkdir(version, { recursive: true });
    await writeFile(join(version, "meta.yaml"), `version: 1\nstatus: READY\nstorage_location: ${location}\n`);
    return root;
  }

  it("gives nothing that is outside of it, or behind a link", async () => {
    const outside = join(folder, "outside");
    await mkdir(outside);
    await writeFile(join(outside, "secret"), "s");
    const artifacts = async (root: string): Promise<ArtifactSet> =>
      (await mlflowFileRegistry(root).versions("m", "newest"))[0]!.artifacts();
    expect(await codeOf(async () => artifacts(await store(outside)))).toBe("MODEL_PATH_OUTSIDE");
    const inside = join(folder, "mlruns", "0", "artifacts");
    await mkdir(inside, { recursive: true });
    await symlink(join(outside, "secret"), join(inside, "MLmodel"));
    const set = await artifacts(await store(inside));
    expect(await codeOf(() => open().fetch(set))).toBe("MODEL_PATH_OUTSIDE");
    await symlink(outside, join(folder, "mlruns", "linked"));
    expect(await codeOf(async () => artifacts(await store(join(folder, "mlruns", "linked"))))).toBe(
      "MODEL_PATH_OUTSIDE",
    );
    for (const name of ["../m", "..", "a/b"]) {
      expect(await codeOf(() => mlflowFileRegistry(join(folder, "mlruns")).versions(name, "newest"))).toMatch(
        /MODEL_PATH_OUTSIDE|MODEL_NOT_FOUND/,
      );
    }
  });

  it("hashes what it gives", async () => {
    const inside = join(folder, "mlruns", "0", "artifacts");
    await mkdir(inside, { recursive: true });
    await writeFile(join(inside, "MLmodel"), "flavors: {}");
    const [version] = await mlflowFileRegistry(await store(inside)).versions("m", { version: "1" });
    await open().fetch(await version!.artifacts());
    const sha256 = createHash("sha256").update("flavors: {}").digest("hex");
    expect(await readFile(join(folder, "cache", "blobs", sha256.slice(0, 2), sha256), "utf8")).toBe("flavors: {}");
  });
});
