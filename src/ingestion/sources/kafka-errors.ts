import type { MillraceError } from "../../definitions/errors.ts";
import { ingestionError } from "../ingestion-error.ts";

interface ProtocolError {
  readonly message: string;
  readonly code?: string;
  readonly apiId?: string;
  readonly errors?: readonly unknown[];
  readonly cause?: unknown;
}

/** Everything that an error of the client says, the errors within it too. */
function texts(error: unknown, depth = 0): string[] {
  if (typeof error !== "object" || error === null || depth > 4) return [];
  const { message, code, apiId, errors, cause } = error as ProtocolError;
  return [
    ...(apiId === undefined ? [] : [apiId]),
    ...(code === undefined ? [] : [code]),
    message,
    ...(errors ?? []).flatMap((inner) => texts(inner, depth + 1)),
    ...texts(cause, depth + 1),
  ];
}

/**
 * An error of the Kafka client as one of ours. What the operator must mend stops the loop (`KAFKA_DENIED`,
 * `KAFKA_TOPIC_UNKNOWN`); everything else is a dependency's trouble and is tried again (`KAFKA_UNAVAILABLE`).
 */
export function kafkaError(cause: unknown, brokers: readonly string[], doing: string): MillraceError {
  const found = texts(cause);
  const [first = String(cause), ...inner] = [...new Set(found.filter((text) => /[a-z] /.test(text)))];
  // The client says where it failed, and within that, why.
  const why = inner.at(-1);
  const said = why === undefined || first.includes(why) ? first : `${first} ${why}`;
  const has = (pattern: RegExp): boolean => found.some((text) => pattern.test(text));
  if (
    has(/SASL_AUTHENTICATION_FAILED|Authentication failed|AUTHORIZATION_FAILED|UNSUPPORTED_SASL|ILLEGAL_SASL_STATE/i)
  ) {
    return ingestionError(
      "KAFKA_DENIED",
      `Kafka at ${brokers.join(", ")} refuses ${doing} (${said}): check the user, the password and the access rules of the topic and the group.`,
      { kind: "user" },
    );
  }
  if (has(/UNKNOWN_TOPIC|Unknown topic/)) {
    return ingestionError(
      "KAFKA_TOPIC_UNKNOWN",
      `Kafka at ${brokers.join(", ")} has no such topic while ${doing} (${said}): make it, or correct the source's topics.`,
      // A topic that is made later is found then: brokers also say so for a moment after its creation.
      { kind: "operational" },
    );
  }
  return ingestionError("KAFKA_UNAVAILABLE", `Kafka at ${brokers.join(", ")} fails while ${doing}: ${said}`, {
    kind: "operational",
    cause,
  });
}
