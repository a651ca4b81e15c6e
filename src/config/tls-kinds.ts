import { FLAG, TEXT, type ValueKinds } from "./check-group.ts";

/** How another server's certificate is checked, and which one is shown to it. */
export const TLS_KINDS: ValueKinds = { ca: TEXT, cert: TEXT, key: TEXT, serverName: TEXT, rejectUnauthorized: FLAG };
