import { createHash, timingSafeEqual } from "node:crypto";
import type { AdminGuard } from "./api-context.ts";
import { apiError } from "./api-errors.ts";
import { isFromAdmin } from "./auth/api-auth.ts";

/** Lets those requests through that have `Authorization: Bearer <token>`; none if the token is null. */
export function adminGuard(token: string | null): AdminGuard {
  const wanted = token === null ? null : digest(token);
  return async (request) => {
    if (isFromAdmin(request)) return;
    if (wanted === null) {
      throw apiError("ADMIN_DISABLED", "No token is configured here, so nobody may administer this server.");
    }
    const given = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
    if (given !== undefined && timingSafeEqual(digest(given), wanted)) return;
    throw apiError(
      "UNAUTHORIZED",
      "This needs the header 'Authorization: Bearer <token>' with the server's token, which is in the private file of its data folder.",
    );
  };
}

/** Of equal length whatever is given. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
