import { metaNames } from "../feature_engineering/engine/meta-names.ts";
import type { ServiceRuntime } from "./service-runtime.ts";
import { storeError } from "./store-error.ts";

/** The facts that a read of a service needs. */
export interface Facts {
  /** By key space, up to when whole values were dropped; epoch milliseconds. */
  readonly expired: ReadonlyMap<string, number>;
  /** The largest of the sources' stream clocks; null if it was not asked for and is not known. */
  readonly clock: number | null;
  /** False if the store did not say all of them, and nobody knew them. */
  readonly complete: boolean;
}

interface Known extends Facts {
  /** By the wall clock, milliseconds. */
  readonly readAt: number;
}

/** The facts of services, which come in the round trip of their values. */
export interface FactReader {
  /**
   * The names of what is to be fetched; none if what was read not longer than `maxAgeMs` ago will do (null: it will not).
   */
  needed(service: ServiceRuntime, asOf: number | null, maxAgeMs: number | null): readonly string[];
  /** What the fetched texts say; for what the store did not give, what was known last. */
  take(
    service: ServiceRuntime,
    names: readonly string[],
    texts: readonly (string | null | undefined)[],
    at: number,
  ): Facts;
  /** The moment that a request without `as_of` reads at. @throws `ONLINE_STORE_UNAVAILABLE` if nobody knows it. */
  clock(service: ServiceRuntime, facts: Facts, arrived: number): number;
}

interface ServiceFacts {
  readonly keyspaces: readonly string[];
  readonly expiredNames: readonly string[];
  readonly clockNames: readonly string[];
  readonly allNames: readonly string[];
  known: Known | null;
}

const NOTHING: Facts = { expired: new Map(), clock: null, complete: true };

export function createFactReader(now: () => number): FactReader {
  const services = new WeakMap<ServiceRuntime, ServiceFacts>();

  function factsOf(service: ServiceRuntime): ServiceFacts {
    let found = services.get(service);
    if (found === undefined) {
      // Of a view that is kept for ever nothing is dropped.
      const finite = service.lookups.filter(({ runtime }) => runtime.layout.reachMs !== Number.POSITIVE_INFINITY);
      const keyspaces = [...new Set(finite.map(({ runtime }) => runtime.keyspace))];
      const expiredNames = keyspaces.map(metaNames.expired);
      const clockNames = byWallClock(service) ? [] : service.sources.map((source) => metaNames.clock(source.name));
      found = { keyspaces, expiredNames, clockNames, allNames: [...expiredNames, ...clockNames], known: null };
      services.set(service, found);
    }
    return found;
  }

  return {
    needed(service, asOf, maxAgeMs) {
      const { known, expiredNames, allNames } = factsOf(service);
      if (maxAgeMs !== null && known !== null && now() - known.readAt <= maxAgeMs) return [];
      return asOf === null ? allNames : expiredNames;
    },
    take(service, names, texts, at) {
      const facts = factsOf(service);
      if (names.length === 0) return facts.known ?? NOTHING;
      const expired = new Map<string, number>();
      let complete = true;
      let fresh = true;
      for (const [i, keyspace] of facts.keyspaces.entries()) {
        const text = texts[i];
        if (text === undefined) {
          fresh = false;
          if (facts.known === null) complete = false;
        }
        const moment =
          text === undefined ? facts.known?.expired.get(keyspace) : text === null ? undefined : Number(text);
        if (moment !== undefined) expired.set(keyspace, moment);
      }
      let clock = facts.known?.clock ?? null;
      const clocks = texts.slice(facts.keyspaces.length);
      if (clocks.length < facts.clockNames.length || clocks.includes(undefined)) fresh = false;
      else if (clocks.length > 0) clock = clocks.reduce<number>((last, text) => Math.max(last, Number(text ?? 0)), 0);
      const readAt = fresh ? at : (facts.known?.readAt ?? Number.NEGATIVE_INFINITY);
      if (complete) facts.known = { expired, clock, complete, readAt };
      return { expired, clock, complete };
    },
    clock(service, { clock }, arrived) {
      if (byWallClock(service)) return arrived;
      if (clock !== null) return clock;
      throw storeError(
        "ONLINE_STORE_UNAVAILABLE",
        `The online store did not say how far the sources of '${service.service.name}' are, which go by the clock of their events: try again, or name a moment (as_of).`,
        { kind: "operational" },
      );
    },
  };
}

function byWallClock({ sources }: ServiceRuntime): boolean {
  return sources.length === 0 || sources.some((source) => source.clock === "wall");
}
