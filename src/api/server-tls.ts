import type { Server as HttpsServer, ServerOptions } from "node:https";
import type { FastifyInstance } from "fastify";
import { apiError } from "./api-errors.ts";
import { declaredScope } from "./auth/route-scopes.ts";

/** A certificate with its chain, its key, and whose certificates clients must have; each PEM. */
export interface ApiCertificate {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | null;
}

export interface ApiTls {
  /** The one to begin with. */
  readonly certificate: ApiCertificate;
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  /** With `clientCa`: who needs a client's certificate: all, or all but who asks public routes. */
  readonly clientCertificates: "always" | "except_health";
}

/** A client that does not finish its handshake is cut off after this, milliseconds. */
const HANDSHAKE_MS = 10_000;

/** What Node's server is made with. */
export function tlsServerOptions({ certificate, minVersion, clientCertificates }: ApiTls): ServerOptions {
  return {
    ...contextOptions(certificate, minVersion),
    handshakeTimeout: HANDSHAKE_MS,
    requestCert: certificate.clientCa !== null,
    rejectUnauthorized: certificate.clientCa !== null && clientCertificates === "always",
  };
}

/** New connections get the certificate from now on; those that are open go on. */
export function replaceCertificate(app: FastifyInstance, certificate: ApiCertificate, { minVersion }: ApiTls): void {
  // Fastify's types know the plain server only.
  (app.server as unknown as HttpsServer).setSecureContext(contextOptions(certificate, minVersion));
}

/** True if there are connections without a client's certificate, on which not every route is answered. */
export function asksEachRequest({ certificate, clientCertificates: who }: ApiTls): boolean {
  return certificate.clientCa !== null && who === "except_health";
}

/**
 * Where clients need certificates but on public routes, each request is asked for one.
 * @throws from the hook: `CLIENT_CERTIFICATE_REQUIRED`
 */
export function clientCertificates(app: FastifyInstance, tls: ApiTls): void {
  if (!asksEachRequest(tls)) return;
  app.addHook("onRequest", (request, _reply, done) => {
    const route = request.routeOptions.url;
    const isPublic = route !== undefined && declaredScope(request.method, route) === "public";
    if (isPublic || ("authorized" in request.raw.socket && request.raw.socket.authorized === true)) return done();
    done(
      apiError(
        "CLIENT_CERTIFICATE_REQUIRED",
        "This server asks for a client's certificate of an authority that it knows (server.tls.clientCaFile): connect with one.",
      ),
    );
  });
}

function contextOptions({ cert, key, clientCa }: ApiCertificate, minVersion: ApiTls["minVersion"]): ServerOptions {
  return { cert, key, minVersion, ...(clientCa === null ? {} : { ca: clientCa }) };
}
