import { millraceError } from "../../../definitions/errors.ts";
import { type ByteReader, createByteReader } from "../../encoding/byte-reader.ts";
import { type ByteWriter, createByteWriter } from "../../encoding/byte-writer.ts";
import type { PlannedDeclarations } from "../../plan/read-plan.ts";
import { createFitAssemble } from "./fit-chunks.ts";
import { createFitEvents } from "./fit-events.ts";
import { createFitLearn } from "./fit-learn.ts";
import { type FitGroup, type FitOutput, fitGroups, fitOutput, readNumberKey } from "./fit-output.ts";
import { CHUNK_ROWS, compileFit } from "./fit-plan.ts";
import { createFitProfile } from "./fit-profile.ts";
import { createFitRead } from "./fit-read.ts";
import { createFitRows } from "./fit-rows.ts";
import type { FitProblem, FitSettings } from "./fit-settings.ts";
import { createIdentify } from "./identify-messages.ts";
import type { JobSettings } from "./job-settings.ts";
import type { Protobuf } from "./protobuf-message.ts";

/**
 * What the Java host calls to fit a service, over bytes: see `fit-output.ts` for what it gives and gets. The functions
 * are named by the step of the pipeline: see `FitPipeline.java`.
 */
export interface FitScript {
  identify(text: string, frame: ArrayBuffer): Uint8Array;
  /** A source's messages, to the groups whose rows may see their events. */
  fitEvents(text: string, frame: ArrayBuffer): Uint8Array;
  /** Lines of the training frame, to the groups that they look up. */
  fitLookups(text: string, frame: ArrayBuffer): Uint8Array;
  /** Lines of the training frame, to chunks of rows. */
  fitParts(text: string, frame: ArrayBuffer): Uint8Array;
  /** Groups of events and rows, to chunks of rows. */
  fitRead(text: string, frame: ArrayBuffer): Uint8Array;
  /** The parts of chunks, to whole chunks. */
  fitAssemble(text: string, frame: ArrayBuffer): Uint8Array;
  /** Whole chunks, to what the transforms of a pass learn of them; `text` is what the passes before it learned. */
  fitLearn(text: string, frame: ArrayBuffer): Uint8Array;
  /** One partial of several of one transform. */
  fitCompact(text: string, partials: ArrayBuffer): Uint8Array;
  /** Partials, to what transforms learned in all. */
  fitFinish(text: string, frame: ArrayBuffer): Uint8Array;
  /** Whole chunks, to the columns that profiles are made of; `text` is what all passes learned. */
  fitSample(text: string, frame: ArrayBuffer): Uint8Array;
  /** Columns, to their profiles. */
  fitProfile(text: string, frame: ArrayBuffer): Uint8Array;
  describe(): string;
}

/** @throws `SERVICE_UNKNOWN` */
export function openFit(
  { services }: PlannedDeclarations,
  { sources }: JobSettings,
  settings: FitSettings,
  protobuf: Protobuf | null,
): FitScript {
  const service = services.find(({ name }) => name === settings.service);
  if (service === undefined)
    throw millraceError("SERVICE_UNKNOWN", `There is no feature service '${settings.service}'.`);
  let failures = 0;
  const plan = compileFit(settings, service, sources, protobuf, () => failures++);
  const events = sources.map((_, index) => createFitEvents(plan, index));
  const identifiers = plan.sources.map(({ runtime }) => createIdentify(runtime));
  const rows = createFitRows(plan);
  const read = createFitRead(plan);
  const assemble = createFitAssemble(plan);
  const learn = createFitLearn(plan);
  const profile = createFitProfile(plan);
  const out: ByteWriter = createByteWriter(1 << 20);
  const output: FitOutput = fitOutput(out);

  const call = (run: () => void): Uint8Array => {
    out.reset();
    failures = 0;
    run();
    output.count(settings.service, "function_failures", failures);
    out.u8(0);
    return out.finish();
  };
  /** A call with messages, after the index of their source. */
  const ofMessages =
    (run: (source: number, text: string, frame: ByteReader) => void) =>
    (text: string, bytes: ArrayBuffer): Uint8Array => {
      const frame = createByteReader(new Uint8Array(bytes));
      return call(() => run(frame.varint(), text, frame));
    };
  /** The groups that are not too large; of the others it is said what they are. */
  function* within(frame: ByteReader, nameOf: (key: Uint8Array) => string): Generator<FitGroup> {
    for (const { key, blocks } of fitGroups(frame)) {
      if (blocks !== null) yield { key, blocks };
      else output.problem(tooLarge(nameOf(key)));
    }
  }
  /** A call with groups, after a number. */
  const ofGroups =
    (
      run: (groups: Iterable<FitGroup>, text: string, number: number) => void,
      nameOf: (key: Uint8Array) => string = () => "A group",
    ) =>
    (text: string, bytes: ArrayBuffer): Uint8Array => {
      const frame = createByteReader(new Uint8Array(bytes));
      return call(() => {
        const number = frame.varint();
        run(within(frame, nameOf), text, number);
      });
    };

  return {
    identify: (text, bytes) => {
      const frame = createByteReader(new Uint8Array(bytes));
      out.reset();
      identifiers[frame.varint()]!(text, frame, out);
      return out.finish();
    },
    fitEvents: ofMessages((source, text, frame) => events[source]!(text, frame, output)),
    fitLookups: ofMessages((_source, text, frame) => rows.lookups(text, frame, output)),
    fitParts: ofMessages((_source, text, frame) => rows.parts(text, frame, output)),
    fitRead: ofGroups(
      (groups) => read(groups, output),
      (key) => {
        const { view } = plan.views[readNumberKey(key)]!.layout;
        return `An entity of view '${view.name}' (events of source '${view.source.name}')`;
      },
    ),
    fitAssemble: ofGroups(
      (groups) => assemble(groups, output),
      (key) => {
        const first = readNumberKey(key) * CHUNK_ROWS;
        return `Rows ${first} to ${Math.min(first + CHUNK_ROWS, settings.rows) - 1} of the training frame`;
      },
    ),
    fitLearn: ofGroups((groups, text, pass) => learn.learn(text, pass, groups, output)),
    fitCompact: (_text, partials) => learn.compact(new Uint8Array(partials)),
    fitFinish: ofGroups((groups) => learn.finish(groups, output)),
    fitSample: ofGroups((groups, text) => {
      const learned = learn.read(text);
      if (learned !== null) profile.sample(learned, groups, output);
    }),
    fitProfile: ofGroups(
      (groups) => profile.profile(groups, output),
      (key) => `The profile of '${plan.row.columns[readNumberKey(key)]!.name}'`,
    ),
    describe: () =>
      JSON.stringify({
        sources: plan.sources.map(({ runtime: { source, settings: own } }) => ({
          name: source.name,
          // The log has each event once.
          has_id: own.cells !== "logged" && (source.id !== null || source.kind === "table_source"),
        })),
        // Per pass the transforms that are fitted in it.
        passes: Array.from({ length: plan.row.passes }, (_, index) =>
          [...plan.row.fits.keys()].filter((fit) => plan.row.fits[fit]!.pass === index + 1),
        ),
        profile: settings.profileEvery !== null,
      }),
  };
}

function tooLarge(what: string): FitProblem {
  return {
    code: "BEAM_FIT_TOO_LARGE",
    message: `${what}: more bytes than a worker takes at once. Fit on fewer rows or a shorter history, or use \`millrace training-set\`.`,
  };
}
