import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createSpool, type Spool } from "../../../src/api/batch/spool.ts";

let folder: string;
let files = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-spool-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const nextPath = (): string => join(folder, String(files++));
const open = (path: string, fileBytes = 1_000_000): Spool => createSpool({ path, memoryBytes: 100, fileBytes });

describe("a spool", () => {
  it("gives every byte in its order, however writer, reader and file take turns", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 150 }), turns: fc.nat(3) }), { maxLength: 40 }),
        fc.array(fc.nat(4), { minLength: 1, maxLength: 10 }),
        fc.nat(40),
        fc.integer({ min: 200, max: 2_000 }),
        async (writes, readerTurns, stopAt, fileBytes) => {
          const spool = open(nextPath(), fileBytes);
          const sent: Buffer[] = [];
          const got: Buffer[] = [];
          const reading = (async () => {
            let i = 0;
            for await (const bytes of spool) {
              got.push(bytes);
              for (let turn = readerTurns[i++ % readerTurns.length]!; turn > 0; turn--) await nextTurn();
            }
          })();
          for (const [i, { bytes, turns }] of writes.entries()) {
            if (i === stopAt) spool.stopSpilling();
            const part = Buffer.alloc(bytes, i);
            sent.push(part);
            await spool.write(part);
            for (let turn = turns; turn > 0; turn--) await nextTurn();
          }
          spool.end();
          await reading;
          await spool.close();
          expect(Buffer.concat(got).equals(Buffer.concat(sent))).toBe(true);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("takes more than its memory while nobody reads, and waits for the reader once it may not", async () => {
    const path = nextPath();
    const spool = open(path);
    for (let i = 0; i < 100; i++) await spool.write(Buffer.alloc(50, i));
    expect((await stat(path)).size).toBe(100 * 50 - 100);
    spool.stopSpilling();
    let isWritten = false;
    const writing = spool.write(Buffer.alloc(50)).then(() => {
      isWritten = true;
    });
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    expect(isWritten).toBe(false);
    let bytes = 0;
    for await (const part of spool) {
      bytes += part.length;
      if (bytes === 101 * 50) break;
    }
    await writing;
    expect(bytes).toBe(101 * 50);
    await spool.close();
  });

  it("makes no file where the reader keeps up", async () => {
    const path = nextPath();
    const spool = open(path);
    const iterator = spool[Symbol.asyncIterator]();
    for (let i = 0; i < 50; i++) {
      await spool.write(Buffer.alloc(90, i));
      expect((await iterator.next()).value).toEqual(Buffer.alloc(90, i));
    }
    await spool.close();
    await expect(stat(path)).rejects.toThrow("ENOENT");
  });

  it("gives what was written, then the error; and lets the writer go when it is closed", async () => {
    const spool = open(nextPath());
    await spool.write(Buffer.from("before"));
    spool.fail(new RangeError("broken"));
    const got: string[] = [];
    await expect(
      (async () => {
        for await (const bytes of spool) got.push(bytes.toString());
      })(),
    ).rejects.toThrow("broken");
    expect(got).toEqual(["before"]);
    const full = open(nextPath(), 0);
    await full.write(Buffer.alloc(100));
    const waiting = full.write(Buffer.alloc(100));
    await full.close();
    await waiting;
  });
});
