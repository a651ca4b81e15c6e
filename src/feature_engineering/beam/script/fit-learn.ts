import { isMillraceError } from "../../../definitions/errors.ts";
import { createByteReader } from "../../encoding/byte-reader.ts";
import { type ByteWriter, createByteWriter } from "../../encoding/byte-writer.ts";
import type { Learned } from "../../transforms/compile-row.ts";
import type { FittedTarget, FittedTransform } from "../../transforms/fitted-state.ts";
import { createLearner, type Learner } from "../../transforms/learner.ts";
import { visitChunk } from "./fit-chunks.ts";
import { type FitGroup, type FitOutput, numberKey, readNumberKey } from "./fit-output.ts";
import type { FitPlan } from "./fit-plan.ts";
import type { FitProblem, FittedLine } from "./fit-settings.ts";

/** What a partial of a transform is: a learner's bytes, or why there is none. */
const partial = { learned: 0, failed: 1 } as const;

export interface FitLearn {
  /** What each transform of a pass learns from some chunks of rows; `state` is what the passes before it learned, by lines. */
  learn(state: string, pass: number, chunks: Iterable<FitGroup>, out: FitOutput): void;
  /** One partial of several of one transform, which stand one behind the other, each with its length before it. */
  compact(partials: Uint8Array): Uint8Array;
  /** What transforms learned in all: lines of JSON. */
  finish(transforms: Iterable<FitGroup>, out: FitOutput): void;
  /** What passes learned, of their lines; null if a transform could not be fitted. */
  read(state: string): Learned | null;
}

export function createFitLearn(plan: FitPlan): FitLearn {
  const { row: compiled, service } = plan;
  const { fits } = compiled;
  const labelIndexes = fits.map(({ rule }) =>
    rule.kind === "target" ? compiled.labels.findIndex(({ name }) => name === rule.label.name) : -1,
  );
  const create = (fit: number): Learner =>
    createLearner(fits[fit]!, { service: service.name, feature: fits[fit]!.feature });
  const out = createByteWriter(1 << 16);
  const body = createByteWriter(1 << 16);
  let known: { readonly state: string; readonly learned: Learned | null } | null = null;

  function read(state: string): Learned | null {
    if (known?.state !== state) known = { state, learned: learnedOf(plan, state) };
    return known.learned;
  }

  /** The partial with its length before it. */
  function framed(fit: number, learned: Learner | FitProblem): Uint8Array {
    body.reset();
    body.varint(fit);
    writePartial(learned, body);
    out.reset();
    out.bytes(body.view());
    return out.finish();
  }

  /** All partials of a transform in one learner; of several problems the first by their words. */
  function merged(fit: number, partials: Iterable<Uint8Array>): Learner | FitProblem {
    const learner = create(fit);
    let problem = null as FitProblem | null;
    for (const bytes of partials) {
      const input = createByteReader(bytes);
      while (input.remaining > 0) {
        const one = createByteReader(input.bytes());
        one.varint();
        const found = one.u8() === partial.failed ? { code: one.string(), message: one.string() } : null;
        if (found !== null) problem = problem === null || found.message < problem.message ? found : problem;
        else if (problem === null) problem = failing(() => learner.merge(one));
      }
    }
    return problem ?? learner;
  }

  return {
    read,
    learn(state, pass, chunks, into) {
      const learned = read(state);
      if (learned === null) return;
      const learners = compiled.bindFits(pass, learned).map((input) => {
        const fit = fits.findIndex(({ id }) => id === input.fit.id);
        return { input, fit, label: labelIndexes[fit]!, learner: create(fit), problem: null as FitProblem | null };
      });
      for (const { blocks } of chunks) {
        for (const chunk of blocks) {
          visitChunk(plan, chunk, (inputs, labels, row) => {
            learned.position.row = row;
            for (const one of learners) {
              if (one.problem !== null) continue;
              const label = one.label === -1 ? null : labels[one.label]!;
              one.problem = failing(() => one.learner.add(one.input.evaluate(inputs), label, row));
            }
          });
        }
      }
      for (const { fit, learner, problem } of learners) into.element(numberKey(fit), framed(fit, problem ?? learner));
    },
    compact(partials) {
      const first = createByteReader(createByteReader(partials).bytes());
      const fit = first.varint();
      return framed(fit, merged(fit, [partials]));
    },
    finish(transforms, into) {
      for (const { key, blocks } of transforms) {
        const fit = readNumberKey(key);
        const learner = merged(fit, blocks);
        let line: FittedLine = { fit, transform: null, folds: null };
        const problem =
          "code" in learner
            ? learner
            : failing(() => {
                line = { fit, transform: learner.finish(), folds: learner.finishFolds?.() ?? null };
              });
        if (problem !== null) into.problem(problem);
        into.element(key, utf8(JSON.stringify(line)));
      }
    },
  };
}

function writePartial(learned: Learner | FitProblem, out: ByteWriter): void {
  if ("code" in learned) {
    out.u8(partial.failed);
    out.string(learned.code);
    out.string(learned.message);
  } else {
    out.u8(partial.learned);
    learned.encode(out);
  }
}

/** What a step cannot do for a reason that the user can do something about; other failures are thrown. */
function failing(step: () => void): FitProblem | null {
  try {
    step();
    return null;
  } catch (error) {
    if (!isMillraceError(error) || error.code === "MALFORMED_BYTES") throw error;
    return { code: error.code, message: error.message };
  }
}

function learnedOf({ row }: FitPlan, state: string): Learned | null {
  const transforms = new Map<string, FittedTransform>();
  const folds = new Map<string, readonly FittedTarget[]>();
  for (const text of state.split("\n")) {
    if (text === "") continue;
    const line = JSON.parse(text) as FittedLine;
    const { id } = row.fits[line.fit]!;
    if (line.transform === null) return null;
    transforms.set(id, line.transform);
    if (line.folds !== null) folds.set(id, line.folds);
  }
  return { transforms, folds, position: { row: 0 } };
}

const text = createByteWriter(1 << 12);

export function utf8(value: string): Uint8Array {
  text.reset();
  text.string(value);
  const input = createByteReader(text.finish());
  return input.raw(input.varint());
}
