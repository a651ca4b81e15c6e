import { channel } from "node:diagnostics_channel";
import type { Logger } from "pino";
import { CERTIFICATE_CHANNEL, type CertificateEvent } from "../api/channels.ts";
import type { ApiCertificate } from "../api/server-tls.ts";
import type { ResolvedTls } from "../config/tls-config.ts";
import { isMillraceError } from "../definitions/errors.ts";
import { checkCertificate, readCertificateFiles, type ServerCertificate, timeFault } from "./server-certificate.ts";

/** The certificate that serves, held up to date with its files. */
export interface CertificateWatch {
  readonly current: ServerCertificate;
  /** Looks at the files now. */
  look(): Promise<void>;
  close(): void;
}

export interface WatchOptions {
  /** Takes a new one into use. */
  readonly onChange: (next: ServerCertificate, before: ServerCertificate) => Promise<void> | void;
  /** True while nothing can take a new one: then nothing is looked at. Default: never. */
  readonly isHeld?: () => boolean;
  readonly log: Logger;
  /** Default every two seconds; 0 only when `look` is called. */
  readonly everyMs?: number;
  readonly now?: () => number;
}

const EVERY_MS = 2_000;
const published = channel(CERTIFICATE_CHANNEL);

/**
 * Reads the files again and again, by their content, so that a volume whose symbolic link moves, a rename and a write in
 * place are all seen. A pair that is not whole yet (the certificate is there, its key not) is waited for; one that stays
 * broken, or is past its end or before its begin, never replaces the one that serves, and is told of by the log and by
 * `millrace_tls_certificate_update_failing`.
 *
 * @throws `TLS_CERTIFICATE_INVALID` if there is none to begin with; one that is only expired is told of, and taken
 */
export async function watchCertificate(tls: ResolvedTls, options: WatchOptions): Promise<CertificateWatch> {
  const { onChange, isHeld = () => false, log, everyMs = EVERY_MS, now = Date.now } = options;
  let current = checkCertificate(await readCertificateFiles(tls), tls);
  /** What was refused at the last look, and whether that was told. */
  let refused: { readonly id: string; readonly isTold: boolean } | null = null;
  let looking: Promise<void> | null = null;
  let isClosed = false;

  const tell = (outcome: string): void => {
    published.publish({ outcome, expiresAt: current.expiresAt } satisfies CertificateEvent);
  };
  const atStart = timeFault(current, tls, now());
  if (atStart !== null) log.error({ err: atStart }, "the server's certificate is not valid now");
  tell("ok");

  async function lookOnce(isForced: boolean): Promise<void> {
    let texts: ApiCertificate | null = null;
    let next: ServerCertificate;
    try {
      texts = await readCertificateFiles(tls);
      if (isSame(texts, current)) {
        if (refused?.isTold === true) tell("ok");
        refused = null;
        return;
      }
      next = checkCertificate(texts, tls);
      const fault = timeFault(next, tls, now());
      if (fault !== null) throw fault;
    } catch (error) {
      const id = texts === null ? "unreadable" : JSON.stringify(texts);
      const isNew = refused?.id !== id;
      if (isNew) refused = { id, isTold: false };
      // A pair that is being written is whole at the next look.
      if (refused!.isTold || (isNew && !isForced)) return;
      refused = { id, isTold: true };
      log.error({ err: error }, "the new certificate is not taken; the one before goes on");
      tell(isMillraceError(error) ? String(error.details.fault) : "internal");
      return;
    }
    const before = current;
    await onChange(next, before);
    current = next;
    refused = null;
    log.info({ expires_at: new Date(next.expiresAt).toISOString() }, "the server has a new certificate");
    tell("ok");
  }

  async function look(isForced: boolean): Promise<void> {
    while (looking !== null) await looking;
    if (isClosed || isHeld()) return;
    looking = lookOnce(isForced)
      .catch((error: unknown) => log.error({ err: error }, "the certificate's files could not be looked at"))
      .finally(() => {
        looking = null;
      });
    await looking;
  }

  const timer = everyMs === 0 ? undefined : setInterval(() => void look(false), everyMs).unref();
  return {
    get current() {
      return current;
    },
    look: () => look(true),
    close() {
      isClosed = true;
      clearInterval(timer);
    },
  };
}

function isSame(a: ApiCertificate, b: ApiCertificate): boolean {
  return a.cert === b.cert && a.key === b.key && a.clientCa === b.clientCa;
}
