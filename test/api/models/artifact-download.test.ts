import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { downloadArtifact } from "../../../src/api/models/artifact-download.ts";
import type { ArtifactSet } from "../../../src/api/models/artifact-set.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-download-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it("is given up for now where it trickles, keeps what came, and is gone on with later", async () => {
  const whole = Buffer.from("0123456789");
  let clock = 0;
  const asked: number[] = [];
  const set = {
    key: "k",
    list: async () => [],
    async read(_path: string, from: number) {
      asked.push(from);
      return {
        from,
        totalBytes: whole.length,
        bytes: (async function* () {
          for (let at = from; at < whole.length; at++) {
            // The first time one byte comes each half of a minute.
            if (asked.length === 1) clock += 30_000;
            yield whole.subarray(at, at + 1);
          }
        })(),
      };
    },
  } as unknown as ArtifactSet;
  const download = () =>
    downloadArtifact(
      set,
      { path: "model.ubj", sizeBytes: whole.length },
      {
        partPath: join(folder, "part"),
        maxBytes: 100,
        placeOf: () => join(folder, "whole"),
        onBytes: () => {},
        now: () => clock,
      },
    );
  await expect(download()).rejects.toMatchObject({
    code: "MODEL_SERVER_UNAVAILABLE",
    message: expect.stringContaining("less than 1 KiB a second"),
  });
  expect(asked).toEqual([0]);
  await download();
  expect(asked).toEqual([0, 2]);
  expect(await readFile(join(folder, "whole"), "utf8")).toBe("0123456789");
});
