import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import type { ApiCertificate, ApiTls } from "../api/server-tls.ts";
import type { ResolvedTls } from "../config/tls-config.ts";
import { type MillraceError, millraceError } from "../definitions/errors.ts";

/** What the files hold, checked. */
export interface ServerCertificate extends ApiCertificate {
  /** The server's own certificate alone, PEM. */
  readonly leaf: string;
  /** When the first of the chain ends, epoch milliseconds. */
  readonly expiresAt: number;
}

/** As the API's server is made with it. */
export function apiTls(tls: ResolvedTls, certificate: ApiCertificate): ApiTls {
  return { certificate, minVersion: tls.minVersion, clientCertificates: tls.clientCertificates };
}

/** Why a certificate cannot be used. */
type CertificateFault = "unreadable" | "malformed" | "key_mismatch" | "not_yet_valid" | "expired";

/** The texts of the files, as they are now. @throws `TLS_CERTIFICATE_INVALID` with the fault `unreadable` */
export async function readCertificateFiles(tls: ResolvedTls): Promise<ApiCertificate> {
  const [cert, key, clientCa] = await Promise.all([
    readText("certFile", tls.certFile),
    readText("keyFile", tls.keyFile),
    tls.clientCaFile === null ? null : readText("clientCaFile", tls.clientCaFile),
  ]);
  return { cert, key, clientCa };
}

/**
 * Refuses what a server cannot use: not PEM, a key of another certificate, what TLS itself does not take. Whether it is
 * valid at this moment is `certificateTime`'s.
 * @throws `TLS_CERTIFICATE_INVALID`; its text and `details` (`fault`, `file`) hold nothing of the key
 */
export function checkCertificate(texts: ApiCertificate, tls: ResolvedTls): ServerCertificate {
  const chain = readChain("certFile", tls.certFile, texts.cert);
  if (texts.clientCa !== null) readChain("clientCaFile", tls.clientCaFile ?? "", texts.clientCa);
  const [leaf] = chain;
  if (!keyFits(leaf!, texts.key, tls.keyFile)) {
    throw refused("key_mismatch", "certFile", tls.certFile, `is not that of the key in ${tls.keyFile}`);
  }
  try {
    createSecureContext({ cert: texts.cert, key: texts.key, minVersion: tls.minVersion });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw refused("malformed", "certFile", tls.certFile, `is not accepted by TLS (${why.slice(0, 200)})`);
  }
  return { ...texts, leaf: leaf!.toString(), expiresAt: Math.min(...chain.map((one) => Date.parse(one.validTo))) };
}

/** Null if the server's certificate is valid at `now`, epoch milliseconds. */
export function timeFault(certificate: ServerCertificate, tls: ResolvedTls, now: number): MillraceError | null {
  if (certificate.expiresAt <= now) {
    const ended = new Date(certificate.expiresAt).toISOString();
    return refused("expired", "certFile", tls.certFile, `ended at ${ended}`);
  }
  const begins = Date.parse(new X509Certificate(certificate.leaf).validFrom);
  return begins > now
    ? refused("not_yet_valid", "certFile", tls.certFile, `is valid from ${new Date(begins).toISOString()} on`)
    : null;
}

const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

function readChain(name: string, file: string, text: string): readonly X509Certificate[] {
  const blocks = text.match(BLOCK) ?? [];
  if (blocks.length === 0) throw refused("malformed", name, file, "has no certificate in PEM form");
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw refused("malformed", name, file, "has a certificate that cannot be read");
    }
  });
}

/** OpenSSL's own words about a key are left out. */
function keyFits(leaf: X509Certificate, key: string, file: string): boolean {
  try {
    return leaf.checkPrivateKey(createPrivateKey(key));
  } catch {
    throw refused("malformed", "keyFile", file, "has no private key in PEM form without a passphrase");
  }
}

async function readText(name: string, file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw refused("unreadable", name, file, `cannot be read (${code})`);
  }
}

function refused(fault: CertificateFault, name: string, file: string, what: string): MillraceError {
  return millraceError(
    "TLS_CERTIFICATE_INVALID",
    `${file} (server.tls.${name}) ${what}: put the certificate, its chain and its key there as PEM.`,
    { details: { fault, file } },
  );
}
