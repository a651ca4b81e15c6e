import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memoryLeases } from "../../src/feature_store/offline/partition-leases.ts";
import { leasedPartition, sharedLeases } from "../../src/pipeline/shared-leases.ts";

const open = (): void => {};
const holderNames = ["a", "b", "c"];

describe("leases that processes share", () => {
  it("end up fair, complete and disjoint, whoever joins, leaves or dies", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(9),
        fc.array(fc.record({ who: fc.nat(2), what: fc.constantFrom("balance", "balance", "leave") }), {
          maxLength: 30,
        }),
        fc.uniqueArray(fc.nat(2), { minLength: 1 }),
        async (count, steps, staying) => {
          const store = memoryLeases(open);
          const shards = Array.from({ length: count }, (_, i) => `s${i}`);
          const members = holderNames.map((holder) => sharedLeases({ leases: store, source: "x", holder }));
          for (const { who, what } of steps) {
            if (what === "leave") await members[who]!.release();
            else await members[who]!.balance(shards);
          }
          for (const who of [0, 1, 2]) if (!staying.includes(who)) await members[who]!.release();
          let held: ReadonlySet<string>[] = [];
          for (let round = 0; round < 6; round++) {
            held = [];
            for (const who of staying) held.push(await members[who]!.balance(shards));
          }
          const all = held.flatMap((set) => [...set]);
          expect([...all].sort()).toEqual([...shards].sort());
          for (const { size } of held) {
            expect(size).toBeGreaterThanOrEqual(Math.floor(count / staying.length));
            expect(size).toBeLessThanOrEqual(Math.ceil(count / staying.length));
          }
        },
      ),
    );
  });

  it("of a process that fell silent go to the others", async () => {
    const store = memoryLeases(open);
    const silent = sharedLeases({ leases: store, source: "x", holder: "a", forMs: 20 });
    expect((await silent.balance(["s0", "s1"])).size).toBe(2);
    const other = sharedLeases({ leases: store, source: "x", holder: "b" });
    await expect.poll(async () => (await other.balance(["s0", "s1"])).size, { timeout: 30_000 }).toBe(2);
    expect((await silent.balance(["s0", "s1"])).size).toBe(0);
  });

  it("give each process a partition of its own", async () => {
    const store = memoryLeases(open);
    const [a, b] = holderNames.map((holder) =>
      leasedPartition({ leases: store, source: "x", holder, prefix: "pubsub:" }),
    );
    expect([await a!.take(), await b!.take(), await a!.take()]).toEqual(["pubsub:0", "pubsub:1", "pubsub:0"]);
    expect([await a!.keep(), await b!.keep()]).toEqual([true, true]);
    await a!.release();
    expect(await a!.keep()).toBe(false);
  });
});
