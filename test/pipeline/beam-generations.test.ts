import { expect, it } from "vitest";
import { type BeamGeneration, generationFor } from "../../src/pipeline/beam-generations.ts";

const backfill = (files: readonly string[], more: Partial<BeamGeneration> = {}): BeamGeneration => ({
  ...{ generation: 1, kind: "backfill", from: null, until: 100, state: "done", savepoint: null, files },
  ...more,
});
const wanted = (files: readonly string[]) => ({ kind: "backfill", from: null, until: 100, files }) as const;

it("takes a backfill up again with all its files, and with more, and remembers these", () => {
  expect(generationFor([backfill(["a", "b"])], "clicks", wanted(["b", "a"]))).toEqual(backfill(["b", "a"]));
  expect(generationFor([backfill(["a"])], "clicks", wanted(["a", "c"]))).toEqual(backfill(["a", "c"]));
});

it("refuses other files under a generation's bounds, whose events would replace those of before, even of one that failed", () => {
  const refusal = expect.objectContaining({
    code: "BEAM_FILES_CHANGED",
    message: expect.stringContaining("1 of them"),
  });
  expect(() => generationFor([backfill(["a", "b"])], "clicks", wanted(["a", "c"]))).toThrow(refusal);
  const failed = backfill(["a"], { state: "running" });
  expect(() => generationFor([failed], "clicks", wanted(["c"]))).toThrow(refusal);
});

it("lets a stream follow a backfill from its moment on, and nothing that overlaps", () => {
  const known = [backfill(["a"])];
  const stream = { kind: "stream", from: 100, until: null } as const;
  expect(generationFor(known, "clicks", stream)).toMatchObject({ generation: 2, from: 100 });
  expect(() => generationFor(known, "clicks", { ...stream, from: 99 })).toThrow(
    expect.objectContaining({ code: "BEAM_GENERATIONS_OVERLAP" }),
  );
});
