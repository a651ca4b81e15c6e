import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { Agent, request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { connect, type TLSSocket } from "node:tls";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeModel } from "../test/api/models/write-model.ts";
import { testAuthority } from "../test/processes/test-certificates.ts";
import { childProcesses } from "./services/child-processes.ts";
import { type MillraceProcess, millraceProcess } from "./services/millrace-process.ts";
import { type MountedCertificate, mountedCertificate } from "./services/mounted-certificate.ts";
import { pythonEnvironment } from "./services/python-environment.ts";

const run = promisify(execFile);
const MAIN = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
const authority = testAuthority("servers");
const clients = testAuthority("clients");
const [first, second, third] = ["first", "second", "third"].map((name) => authority.issue(name)) as [
  ...{ cert: string; key: string }[],
] as [Pair, Pair, Pair];
type Pair = { readonly cert: string; readonly key: string };

let folder = "";
let config = "";
const ca = (): string => join(folder, "ca.pem");
const open: AsyncDisposable[] = [];
const mounts: MountedCertificate[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-tls-"));
  config = join(folder, "millrace.config.ts");
  const index = JSON.stringify(fileURLToPath(new URL("../src/index.ts", import.meta.url)));
  await writeModel(join(folder, "model"), { answer: 1, features: ["amount"] });
  await writeFile(
    join(folder, "features.ts"),
    `import { entity, featureService, model, modelFolder, requestSource, t } from ${index};
export const card = entity("card", { card_id: t.string() });
const request = requestSource({ amount: t.float64() });
export const paying = featureService("paying", { features: { amount: request.amount } });
export const risk = model("risk", { inputs: paying, output: { answer: t.float64() }, source: modelFolder(${JSON.stringify(join(folder, "model"))}) });
`,
  );
  await writeFile(config, 'export default { declarations: "./features.ts" };\n');
  const client = clients.issue("caller", { client: true });
  await Promise.all([
    writeFile(ca(), authority.ca),
    writeFile(join(folder, "clients.pem"), clients.ca),
    writeFile(join(folder, "client.crt"), client.cert),
    writeFile(join(folder, "client.key"), client.key),
  ]);
});
afterAll(async () => {
  for (const one of open) await one[Symbol.asyncDispose]();
  for (const mount of mounts) await mount.remove();
  await rm(folder, { recursive: true, force: true });
});

async function start(
  environment: Readonly<Record<string, string>> = {},
): Promise<{ readonly millrace: MillraceProcess; readonly mount: MountedCertificate }> {
  const mount = await mountedCertificate();
  mounts.push(mount);
  await mount.put(first);
  const millrace = await millraceProcess(config, {
    MILLRACE_TLS_CERT_FILE: mount.certFile,
    MILLRACE_TLS_KEY_FILE: mount.keyFile,
    MILLRACE_LOG_LEVEL: "silent",
    ...environment,
  });
  open.push(millrace);
  return { millrace, mount };
}

async function curl(...args: string[]): Promise<string> {
  const { stdout } = await run("curl", ["--silent", "--show-error", "--cacert", ca(), ...args]);
  return stdout;
}

async function cli(
  millrace: MillraceProcess,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { stdout } = await run(process.execPath, [MAIN, "--config", config, ...args], {
    env: { ...process.env, MILLRACE_DATA: millrace.folder, ...env },
  });
  return stdout;
}

/** The serial number of what a new connection is shown. */
async function shown(url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket: TLSSocket = connect({ host: hostname, port: Number(port), ca: authority.ca });
  try {
    await new Promise<void>((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
    return socket.getPeerX509Certificate()!.serialNumber;
  } finally {
    socket.destroy();
  }
}
const serial = ({ cert }: Pair): string => new X509Certificate(cert).serialNumber;

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 60_000; !(await holds()); await pause(50)) {
    expect(performance.now(), "the condition did not come true").toBeLessThan(deadline);
  }
}

it("speaks TLS with clients of others, and only from the version that is configured", async () => {
  const { millrace } = await start({ MILLRACE_TLS_MIN_VERSION: "1.3" });
  expect(millrace.url).toMatch(/^https:/);
  expect(await curl("--fail", `${millrace.url}/livez`)).not.toBe("");
  await expect(curl("--tls-max", "1.2", `${millrace.url}/livez`)).rejects.toThrow(/alert|version|SSL/i);
  await expect(run("curl", ["--silent", "--fail", `${millrace.url}/livez`])).rejects.toMatchObject({ code: 60 });
  await expect(curl(`${millrace.url.replace("https", "http")}/livez`)).rejects.toThrow();
  const python = `import requests, sys
answer = requests.post(sys.argv[1] + "/v1/models/risk/predict", json={"rows": [{"amount": 1}]}, verify=sys.argv[2])
assert answer.ok, answer.text
print(answer.json()["predictions"][0]["answer"])`;
  const bin = pythonEnvironment(["requests==2.32.5"]);
  const { stdout } = await run(join(bin, "python"), ["-c", python, millrace.url, ca()]);
  expect(Number(stdout)).toBe(1);
  const ours = `import { millraceClient } from ${JSON.stringify(fileURLToPath(new URL("../src/client/index.ts", import.meta.url)))};
import { risk } from ${JSON.stringify(join(folder, "features.ts"))};
console.log((await millraceClient({ url: process.argv[1] }).predict(risk, { amount: 1 })).prediction.answer);`;
  const client = await run(process.execPath, ["--input-type=module-typescript", "-e", ours, millrace.url], {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: ca() },
  });
  expect(Number(client.stdout)).toBe(1);
});

it("takes a rotated certificate without a dropped connection, keeps it when the next is broken, and its commands find it", async () => {
  const { millrace, mount } = await start();
  const agent = new Agent({ ca: authority.ca, keepAlive: true, maxSockets: 1 });
  const sockets = new Set<unknown>();
  const ask = (): Promise<number> =>
    new Promise((resolve, reject) => {
      const sent = httpsRequest(`${millrace.url}/livez`, { agent }, (answer) => {
        answer.resume().once("end", () => resolve(answer.statusCode!));
      });
      sent.on("socket", (socket) => sockets.add(socket)).on("error", reject);
      sent.end();
    });
  const statuses = new Set<number>();
  let isDone = false;
  const load = (async () => {
    while (!isDone) statuses.add(await ask());
  })();
  expect(await shown(millrace.url)).toBe(serial(first));
  await mount.put(second);
  await until(async () => (await shown(millrace.url)) === serial(second));
  await mount.put({ cert: third.cert, key: first.key });
  process.kill(millrace.pid, "SIGHUP");
  await until(async () =>
    (await curl(`${millrace.url}/metrics`)).includes("millrace_tls_certificate_update_failing 1"),
  );
  expect(await shown(millrace.url)).toBe(serial(second));
  expect(await cli(millrace, ["models", "list"])).toContain("risk");
  isDone = true;
  await load;
  agent.destroy();
  expect([statuses, sockets.size]).toEqual([new Set([200]), 1]);
  const ends = Date.parse(new X509Certificate(second.cert).validTo) / 1_000;
  const metrics = await curl(`${millrace.url}/metrics`);
  expect(metrics).toContain(`millrace_tls_certificate_expiry_timestamp_seconds ${ends}`);
  expect(metrics).toContain('millrace_tls_certificate_updates_total{outcome="key_mismatch"} 1');
  await expect(cli(millrace, ["models", "list", "--url", millrace.url])).rejects.toThrow("MILLRACE_CLI_CA_FILE");
  expect(await cli(millrace, ["models", "list", "--url", millrace.url], { MILLRACE_CLI_CA_FILE: ca() })).toContain(
    "risk",
  );
});

it("asks clients for certificates by several processes, which all have the last good one of their own", async () => {
  const { millrace, mount } = await start({
    MILLRACE_PROCESSES: "2",
    MILLRACE_TLS_CLIENT_CA_FILE: join(folder, "clients.pem"),
    MILLRACE_TLS_CLIENT_CERTIFICATES: "except_health",
  });
  const own = ["--cert", join(folder, "client.crt"), "--key", join(folder, "client.key")];
  expect(await curl("--fail", `${millrace.url}/livez`)).not.toBe("");
  expect(JSON.parse(await curl(`${millrace.url}/v1/models`)).code).toBe("CLIENT_CERTIFICATE_REQUIRED");
  expect(JSON.parse(await curl(...own, `${millrace.url}/v1/models`)).models).toHaveLength(1);
  const predict = ["--json", '{"rows":[{"amount":1}]}', `${millrace.url}/v1/models/risk/predict`];
  expect(JSON.parse(await curl(...predict)).code).toBe("CLIENT_CERTIFICATE_REQUIRED");
  expect(JSON.parse(await curl(...own, ...predict)).predictions).toEqual([{ answer: 1 }]);
  await expect(cli(millrace, ["models", "list"])).rejects.toThrow("CLIENT_CERTIFICATE_REQUIRED");
  const shows = {
    MILLRACE_CLI_CERT_FILE: join(folder, "client.crt"),
    MILLRACE_CLI_KEY_FILE: join(folder, "client.key"),
  };
  expect(await cli(millrace, ["models", "list"], shows)).toContain("risk");

  const all = async (): Promise<Set<string>> =>
    new Set(await Promise.all(Array.from({ length: 6 }, () => shown(millrace.url))));
  await mount.put(second);
  await until(async () => [...(await all())].join() === serial(second));
  await mount.put({ cert: "no certificate", key: second.key });
  const metrics = (): Promise<string> => curl(...own, `${millrace.url}/metrics`);
  await until(async () => (await metrics()).includes("millrace_tls_certificate_update_failing 1"));
  // What starts now cannot read a certificate from the files.
  const [victim] = childProcesses(millrace.pid, "serving-process");
  process.kill(victim!, "SIGKILL");
  await until(async () => {
    const now = childProcesses(millrace.pid, "serving-process");
    return now.length === 2 && !now.includes(victim!) && /"serve_1"[\s\S]*"serve_2"/.test(await metrics());
  });
  expect(await all()).toEqual(new Set([serial(second)]));
  await mount.put(third);
  process.kill(millrace.pid, "SIGHUP");
  await until(async () => [...(await all())].join() === serial(third));
});

it("ends a handshake without a client's certificate where all need one", async () => {
  const { millrace } = await start({ MILLRACE_TLS_CLIENT_CA_FILE: join(folder, "clients.pem") });
  await expect(curl(`${millrace.url}/livez`)).rejects.toThrow(/alert|certificate/i);
  const own = ["--cert", join(folder, "client.crt"), "--key", join(folder, "client.key")];
  expect(await curl("--fail", ...own, `${millrace.url}/livez`)).not.toBe("");
  const foreign = authority.issue("caller", { client: true });
  await writeFile(join(folder, "foreign.crt"), foreign.cert);
  await writeFile(join(folder, "foreign.key"), foreign.key);
  await expect(
    curl("--cert", join(folder, "foreign.crt"), "--key", join(folder, "foreign.key"), `${millrace.url}/livez`),
  ).rejects.toThrow(/alert|unknown ca|Empty reply|reset by peer/i);
  await expect(cli(millrace, ["models", "list"])).rejects.toThrow("MILLRACE_CLI_CERT_FILE");
});
