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
export function kafkaError(
  cause: unknown,
  brokers: readonly string[],
  doing: string,
  encrypted = false,
): MillraceError {
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
  // A broker that wants a certificate of the client ends the connection after the handshake; its reason may get lost.
  const hint =
    encrypted && has(/closed|ECONNRESET|EPIPE/i)
      ? " If the broker asks for a certificate of the client, check the source's `tls.cert` and `tls.key`."
      : "";
  return ingestionError("KAFKA_UNAVAILABLE", `Kafka at ${brokers.join(", ")} fails while ${doing}: ${said}${hint}`, {
    kind: "operational",
    cause,
  });
}

/** What was not read yet is gone from the log. */
export function kafkaOffsetGone(partition: string, offset: number, oldest: number): MillraceError {
  return ingestionError(
    "KAFKA_OFFSET_GONE",
    `Offset ${offset} of Kafka partition ${partition} is not there any more (its log starts at ${oldest}): its retention deleted what was not read yet, or the topic was made anew. Events are missing; rename the source's topic or accept the loss by a new source.`,
    { details: { partition, offset, oldest } },
  );
}

/** A topic of the same name as before, with other messages under the offsets that were read already. */
export function kafkaTopicRemade(topic: string): MillraceError {
  return ingestionError(
    "KAFKA_OFFSET_GONE",
    `Kafka topic ${topic} was deleted and made anew: its offsets begin again, and messages at those that were read already would be passed over. Declare the stream as a source of another name, which reads it from its beginning.`,
    { details: { topic } },
  );
}

export function kafkaReadDenied(topic: string): MillraceError {
  return ingestionError(
    "KAFKA_DENIED",
    `Kafka refuses to let this user read topic ${topic}: it needs the right READ on it.`,
  );
}

/** A partition answers one error after the other: the leader is not chosen, or the topic was deleted. */
export function kafkaRefused(partition: string, errorCode: number, times: number): MillraceError {
  return ingestionError(
    "KAFKA_UNAVAILABLE",
    `Kafka partition ${partition} cannot be read: the broker answered error ${errorCode} ${times} times in a row (3 and 100: there is no such topic). It is tried again.`,
    { kind: "operational", details: { partition, error_code: errorCode } },
  );
}
