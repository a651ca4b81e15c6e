import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeEach, expect, it } from "vitest";
import { CERTIFICATE_CHANNEL, type CertificateEvent } from "../../src/api/channels.ts";
import { resolveTls } from "../../src/config/tls-config.ts";
import { createMetrics } from "../../src/monitoring/metrics.ts";
import { type CertificateWatch, watchCertificate } from "../../src/processes/watch-certificate.ts";
import { type IssuedCertificate, testAuthority } from "./test-certificates.ts";

const authority = testAuthority("root");
const [first, second] = [authority.issue("first"), authority.issue("second")];
const folders: string[] = [];
let folder = "";
let lines: string[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-tls-"));
  folders.push(folder);
  lines = [];
});
afterAll(() => Promise.all(folders.map((one) => rm(one, { recursive: true }))));

async function put({ cert, key }: Partial<IssuedCertificate>): Promise<void> {
  if (cert !== undefined) await writeFile(join(folder, "tls.crt"), cert);
  if (key !== undefined) await writeFile(join(folder, "tls.key"), key);
}
const tlsOf = () => resolveTls({ certFile: "tls.crt", keyFile: "tls.key" }, {}, folder)!;
async function watch(taken: string[], now?: () => number): Promise<CertificateWatch> {
  return watchCertificate(tlsOf(), {
    onChange: (next) => void taken.push(next.cert),
    log: pino({ level: "info" }, { write: (line: string) => lines.push(line) }),
    everyMs: 0,
    ...(now === undefined ? {} : { now }),
  });
}

it("takes a pair that is written in place, renamed there, or reached by another symbolic link", async () => {
  for (const [version, pair] of Object.entries({ a: first, b: second })) {
    await mkdir(join(folder, version));
    await writeFile(join(folder, version, "tls.crt"), pair.cert);
    await writeFile(join(folder, version, "tls.key"), pair.key);
  }
  // As Kubernetes mounts a secret: the link moves, the files' own links never change.
  await symlink("a", join(folder, "data"));
  for (const file of ["tls.crt", "tls.key"]) await symlink(join("data", file), join(folder, file));
  const taken: string[] = [];
  const watched = await watch(taken);
  expect(watched.current.cert).toBe(first.cert);
  await symlink("b", join(folder, "next"));
  await rename(join(folder, "next"), join(folder, "data"));
  await watched.look();
  expect(taken).toEqual([second.cert]);
  expect(watched.current.expiresAt).toBeGreaterThan(Date.now() + 9 * 86_400_000);
});

it("goes on with the last good one while the files are broken, and says so once and by a metric", async () => {
  await put(first);
  const metrics = createMetrics({ thread: "main" });
  const events: CertificateEvent[] = [];
  const note = (event: unknown): void => void events.push(event as CertificateEvent);
  subscribe(CERTIFICATE_CHANNEL, note);
  const taken: string[] = [];
  try {
    const watched = await watch(taken);
    const faults: (readonly [Partial<IssuedCertificate>, string])[] = [
      [{ key: second.key }, "key_mismatch"],
      [{ cert: "nothing", key: first.key }, "malformed"],
      [{ cert: first.cert.replace(/\n[^\n]{10}/, "\n##########") }, "malformed"],
      [
        { cert: first.cert, key: "-----BEGIN PRIVATE KEY-----\nsecretsecret\n-----END PRIVATE KEY-----\n" },
        "malformed",
      ],
      [authority.issue("old", { days: -1 }), "expired"],
    ];
    for (const [texts, fault] of faults) {
      await put(texts);
      await watched.look();
      await watched.look();
      expect(events.at(-1)?.outcome, fault).toBe(fault);
      expect((await metrics.render("")).body).toContain("millrace_tls_certificate_update_failing 1");
    }
    await rm(join(folder, "tls.key"));
    await watched.look();
    expect(events.at(-1)?.outcome).toBe("unreadable");
    expect(events).toHaveLength(1 + faults.length + 1);
    expect(taken).toEqual([]);
    expect(lines.join("\n")).not.toMatch(/secretsecret|PRIVATE KEY/);
    await put(second);
    await watched.look();
    expect(taken).toEqual([second.cert]);
    const text = (await metrics.render("")).body;
    expect(text).toContain("millrace_tls_certificate_update_failing 0");
    expect(text).toContain(`millrace_tls_certificate_expiry_timestamp_seconds ${watched.current.expiresAt / 1_000}`);
  } finally {
    unsubscribe(CERTIFICATE_CHANNEL, note);
    metrics.close();
  }
});

it("ends the failure when the old files come back, and waits for one that is not valid yet", async () => {
  await put(first);
  let now = Date.now();
  const taken: string[] = [];
  const watched = await watch(taken, () => now);
  await put({ key: "broken" });
  await watched.look();
  await put(first);
  await watched.look();
  expect(lines.filter((line) => line.includes("is not taken"))).toHaveLength(1);
  now -= 3_600_000;
  await put(second);
  await watched.look();
  expect(taken).toEqual([]);
  now += 3_600_000;
  await watched.look();
  expect(taken).toEqual([second.cert]);
});

it("needs a whole pair to begin with", async () => {
  await put({ cert: first.cert, key: second.key });
  await expect(watch([])).rejects.toMatchObject({
    code: "TLS_CERTIFICATE_INVALID",
    details: { fault: "key_mismatch" },
  });
});

it("is configured by both files or by none, and refuses what it does not know", () => {
  expect(resolveTls(undefined, {}, "/d")).toBeNull();
  expect(resolveTls({}, { MILLRACE_TLS_CERT_FILE: "c.pem", MILLRACE_TLS_KEY_FILE: "/k.pem" }, "/d")).toEqual({
    certFile: "/d/c.pem",
    keyFile: "/k.pem",
    clientCaFile: null,
    clientCertificates: "always",
    minVersion: "TLSv1.2",
  });
  const files = { MILLRACE_TLS_CERT_FILE: "c", MILLRACE_TLS_KEY_FILE: "k" };
  for (const env of [
    { MILLRACE_TLS_CERT_FILE: "c" },
    { MILLRACE_TLS_CLIENT_CA_FILE: "ca" },
    { ...files, MILLRACE_TLS_MIN_VERSION: "1.1" },
    { ...files, MILLRACE_TLS_CLIENT_CERTIFICATES: "sometimes" },
  ]) {
    expect(() => resolveTls(undefined, env, "/d")).toThrow(/server\.tls|MILLRACE_TLS/);
  }
  expect(() => resolveTls({ cert: "c" } as object, {}, "/d")).toThrow("no 'cert'");
});
