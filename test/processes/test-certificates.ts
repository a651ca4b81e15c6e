import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface IssuedCertificate {
  /** PEM, as the key. */
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority of the tests' own, by the `openssl` of the system. */
export interface TestAuthority {
  /** PEM. */
  readonly ca: string;
  /** For `localhost` and 127.0.0.1, or a client. `days` may be below 0: it has ended then. */
  issue(name: string, options?: { readonly days?: number; readonly client?: boolean }): IssuedCertificate;
}

export function testAuthority(name: string): TestAuthority {
  const folder = mkdtempSync(join(tmpdir(), "millrace-ca-"));
  const at = (file: string): string => join(folder, file);
  const openssl = (...args: string[]): void => void execFileSync("openssl", args, { stdio: "pipe" });
  const newKey = (file: string): void =>
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", at(file));
  newKey("ca.key");
  openssl("req", "-x509", "-new", "-key", at("ca.key"), "-subj", `/CN=${name}`, "-days", "30", "-out", at("ca.pem"));
  const ca = readFileSync(at("ca.pem"), "utf8");
  const caKey = readFileSync(at("ca.key"), "utf8");
  rmSync(folder, { recursive: true });
  return {
    ca,
    issue(subject, { days = 10, client = false } = {}) {
      const own = mkdtempSync(join(tmpdir(), "millrace-cert-"));
      const file = (path: string): string => join(own, path);
      try {
        writeFileSync(file("ca.pem"), ca);
        writeFileSync(file("ca.key"), caKey);
        writeFileSync(file("index.txt"), "");
        writeFileSync(file("ca.cnf"), CONFIG(own, client));
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", file("key.pem"));
        openssl("req", "-new", "-key", file("key.pem"), "-subj", `/CN=${subject}`, "-out", file("request.pem"));
        const from = new Date(Date.now() + Math.min(0, days - 1) * 86_400_000);
        const until = new Date(Date.now() + days * 86_400_000);
        openssl(
          ...["ca", "-batch", "-config", file("ca.cnf"), "-in", file("request.pem"), "-out", file("cert.pem")],
          ...["-startdate", asn1(from), "-enddate", asn1(until), "-notext"],
        );
        return { cert: readFileSync(file("cert.pem"), "utf8"), key: readFileSync(file("key.pem"), "utf8") };
      } finally {
        rmSync(own, { recursive: true });
      }
    },
  };
}

/** YYYYMMDDHHMMSSZ. */
function asn1(time: Date): string {
  return `${time.toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`;
}

const CONFIG = (folder: string, client: boolean): string => `[ca]
default_ca = own
[own]
database = ${folder}/index.txt
new_certs_dir = ${folder}
certificate = ${folder}/ca.pem
private_key = ${folder}/ca.key
default_md = sha256
policy = any
x509_extensions = extensions
unique_subject = no
rand_serial = yes
[any]
commonName = supplied
[extensions]
basicConstraints = CA:FALSE
extendedKeyUsage = ${client ? "clientAuth" : "serverAuth"}
${client ? "" : "subjectAltName = DNS:localhost,IP:127.0.0.1"}
`;
