import type { Value } from "../../definitions/value.ts";
import type { FeatureStatus } from "../../feature_engineering/windows/read-features.ts";
import type { EntityReading } from "../../feature_store/cached-reader.ts";
import type { OnlineFeatures } from "../../feature_store/feature-store.ts";
import type { ServiceRuntime } from "../../feature_store/service-runtime.ts";
import { answerMemory } from "../answer-memory.ts";
import { apiError } from "../api-errors.ts";
import { madeOnce } from "../made-once.ts";
import { EPOCH, type FeastValueWriter, feastEcho, feastTime, feastValueWriter } from "./feast-value.ts";

/** Values by the name of an entity's key or a request column, as they came, of equal length. */
export type FeastEntities = ReadonlyMap<string, readonly unknown[]>;

/**
 * Writes what was read as Feast's answer: by columns, first those of the entities, then the features. Bytes are of
 * {@link answerMemory}.
 */
export type FeastAnswer = (
  read: OnlineFeatures,
  entities: FeastEntities,
  rows: number,
  /** Also name the views with a version; Feast's are counters and ours hashes, so it is 0. */
  withVersions: boolean,
) => string | Buffer;

interface AnswerColumn {
  readonly name: string;
  readonly write: FeastValueWriter;
  /** The lookup whose events the value comes from; −1: of several, or none. */
  readonly lookup: number;
  /** Where its text stands among the texts of the lookup's readings; −1 if it is computed. */
  readonly text: number;
}

/** The features of a lookup's readings that the answer takes unchanged. */
type TakenFeatures = readonly { readonly feature: number; readonly write: FeastValueWriter }[];

/** The values of {@link TakenFeatures} as JSON. */
interface TakenTexts {
  /** UTF-8, one text after the other, and three bytes more. */
  readonly bytes: DataView;
  /** Where each text ends. */
  readonly ends: readonly number[];
  readonly allPresent: boolean;
}

/**
 * Compiles the answer of a service or of a list of features. `fullNames`: `view__feature` instead of `feature`; a
 * computed column of a service has the service's name in the view's place.
 * @throws `FEATURE_NAME_COLLISION` if two features of a list have one name
 */
export function compileFeastAnswer(service: ServiceRuntime, isList: boolean, fullNames: boolean): FeastAnswer {
  const lookupOf = new Map<number, number>();
  for (const [index, lookup] of service.lookups.entries())
    for (const { slot } of lookup.reads) lookupOf.set(slot, index);
  const taken = service.lookups.map(() => [] as TakenFeatures[number][]);
  const columns = service.row.columns.map((column, i): AnswerColumn => {
    const slot = service.statusSlots[i]!;
    const [first, second] = isList ? column.name.split(":") : [];
    const view = first ?? service.inputViews[slot] ?? service.service.name;
    const name = second ?? column.name;
    const write = feastValueWriter(column.type);
    const read = service.columnReads[i]!;
    return {
      name: fullNames ? `${view}__${name}` : name,
      write,
      lookup: lookupOf.get(slot) ?? -1,
      text: read === null ? -1 : taken[read.lookup]!.push({ feature: read.feature, write }) - 1,
    };
  });
  const names = columns.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw apiError(
      "FEATURE_NAME_COLLISION",
      `Two of the features are called '${twice}': ask with full_feature_names, which puts the views' names before them.`,
      { details: { feature: twice } },
    );
  }
  const lookups = service.lookups.length;
  const makers = taken.map((features) => (reading: EntityReading) => takenTexts(reading, features));
  const isOneView = lookups === 1 && columns.every(({ text }) => text >= 0);
  /** The features' results of an answer about this entity alone; null unless all values are there. */
  const makeAlone = ({ values, statuses, found, maxEventTime }: EntityReading): string | null => {
    const features = taken[0]!;
    if (!features.every(({ feature }) => statuses[feature] === "PRESENT")) return null;
    const end = `],"statuses":[${PRESENT}],"event_timestamps":[${feastTime(found ? maxEventTime : NEVER)}]}`;
    const results = columns.map(({ text, write }) => {
      const value = writeOrNull(values[features[text]!.feature]!, write);
      return `{"values":[${value}${end}`;
    });
    return results.join(",");
  };
  const featureNames = JSON.stringify(names).slice(1, -1);
  const versions = JSON.stringify(service.service.views.map(({ name }) => ({ name, version: 0 })));

  return (read, entities, rows, withVersions) => {
    const { readings } = read;
    let named = "";
    let echoes = "";
    for (const [name, values] of entities) {
      if (names.includes(name)) continue;
      named += `${JSON.stringify(name)},`;
      echoes += `{"values":[${values.map(feastEcho).join(",")}],"statuses":${repeated(PRESENT, rows)},"event_timestamps":${repeated(EPOCH, rows)}},`;
    }
    const views = withVersions ? `,"feature_view_metadata":${versions}` : "";
    const start = `{"metadata":{"feature_names":[${named}${featureNames}]${views}},"results":[${echoes}`;
    if (rows === 1 && isOneView) {
      const alone = madeOnce(readings[0]!, makeAlone);
      if (alone !== null) return `${start}${alone}]}`;
    }

    const times = Array.from({ length: lookups }, (_, lookup) => lookupTimes(readings, lookup, lookups, rows));
    const texts = readings.map((reading, place) => madeOnce(reading, makers[place % lookups]!));
    /** Per lookup all that follows the values of a column, if it is the same for each of them. */
    const ends = makers.map((_, lookup) => {
      for (let r = 0; r < rows; r++) if (!texts[r * lookups + lookup]!.allPresent) return null;
      return Buffer.from(`],"statuses":${repeated(PRESENT, rows)},"event_timestamps":${times[lookup]!}}`);
    });
    let mixed = "";
    let length = 0;
    /** Per column what follows its values. */
    const columnEnds: Uint8Array[] = [];
    /** Per column its values, where they are not texts of the readings. */
    const computed: (Uint8Array | null)[] = [];
    for (let c = 0; c < columns.length; c++) {
      const { write, lookup, text } = columns[c]!;
      let end = text >= 0 ? ends[lookup]! : null;
      if (end === null) {
        if (lookup < 0 && mixed === "") mixed = latestTimes(readings, lookups, rows);
        const when = lookup < 0 ? mixed : times[lookup]!;
        end = Buffer.from(`],"statuses":${statusesJson(read.statuses, c, rows)},"event_timestamps":${when}}`);
      }
      const values = text >= 0 ? null : Buffer.from(read.rows.map((row) => writeOrNull(row[c]!, write)).join(","));
      length += (c === 0 ? 0 : 1) + VALUES.length + (values?.length ?? Math.max(0, rows - 1)) + end.length;
      columnEnds.push(end);
      computed.push(values);
    }
    for (const { bytes } of texts) length += bytes.byteLength - SPARE;
    const head = Buffer.from(start);
    const json = answerMemory.take(head.length + length + 2);
    json.set(head);
    const view = new DataView(json.buffer, json.byteOffset, json.length);
    let at = head.length;
    for (let c = 0; c < columns.length; c++) {
      const { lookup, text } = columns[c]!;
      if (c > 0) json[at++] = COMMA;
      json.set(VALUES, at);
      at += VALUES.length;
      const values = computed[c]!;
      if (values === null) at = copyTexts(texts, lookup, lookups, text, view, at);
      else {
        json.set(values, at);
        at += values.length;
      }
      json.set(columnEnds[c]!, at);
      at += columnEnds[c]!.length;
    }
    json.write("]}", at, "latin1");
    return json;
  };
}

const NEVER = Number.NEGATIVE_INFINITY;
const COMMA = 0x2c;
/** Texts are copied in words of four bytes, so the last may reach three bytes too far. */
const SPARE = 3;
const VALUES = Buffer.from('{"values":[');

function takenTexts({ values, statuses, isKept }: EntityReading, features: TakenFeatures): TakenTexts {
  const texts = features.map(({ feature, write }) => writeOrNull(values[feature]!, write));
  const joined = Buffer.from(`${texts.join("")}${" ".repeat(SPARE)}`);
  // Memory of its own: a small part would keep the whole of Node's pool.
  const { buffer, byteOffset, length } = isKept ? Uint8Array.from(joined) : joined;
  let end = 0;
  return {
    bytes: new DataView(buffer, byteOffset, length),
    ends: texts.map((text) => (end += Buffer.byteLength(text))),
    allPresent: features.every(({ feature }) => statuses[feature] === "PRESENT"),
  };
}

/** Copies one text of each reading of a lookup, with commas between them; returns where they end. */
function copyTexts(
  texts: readonly TakenTexts[],
  lookup: number,
  lookups: number,
  text: number,
  into: DataView,
  start: number,
): number {
  let at = start;
  for (let place = lookup; place < texts.length; place += lookups) {
    if (place !== lookup) into.setUint8(at++, COMMA);
    const { bytes, ends } = texts[place]!;
    const from = text === 0 ? 0 : ends[text - 1]!;
    const length = ends[text]! - from;
    // Faster than `set` for short texts. What is too much is overwritten by what follows.
    for (let i = 0; i < length; i += 4) into.setUint32(at + i, bytes.getUint32(from + i));
    at += length;
  }
  return at;
}

const PRESENT = '"PRESENT"';
/** Lists of one text over and over, by text and length. */
const lists = new Map<string, Map<number, string>>();

function repeated(text: string, count: number): string {
  let known = lists.get(text);
  if (known === undefined) {
    known = new Map();
    lists.set(text, known);
  }
  let list = known.get(count);
  if (list === undefined) {
    list = `[${new Array<string>(count).fill(text).join(",")}]`;
    if (count <= 1_000) known.set(count, list);
  }
  return list;
}

function statusesJson(statuses: readonly (readonly FeatureStatus[])[], column: number, rows: number): string {
  let r = 0;
  while (r < rows && statuses[r]![column] === "PRESENT") r++;
  if (r === rows) return repeated(PRESENT, rows);
  let json = "";
  for (let row = 0; row < rows; row++) json += `${row === 0 ? "" : ","}"${feastStatus(statuses[row]![column]!)}"`;
  return `[${json}]`;
}

/** Feast has no name for what could not be read; its own is for a status that is none. */
function feastStatus(status: FeatureStatus): string {
  return status === "UNAVAILABLE" ? "INVALID" : status;
}

function writeOrNull(value: Value, write: FeastValueWriter): string {
  return value === null ? "null" : write(value);
}

function foundTime({ found, maxEventTime }: EntityReading): number {
  return found ? maxEventTime : Number.NEGATIVE_INFINITY;
}

function lookupTimes(readings: readonly EntityReading[], lookup: number, lookups: number, rows: number): string {
  const times = new Array<string>(rows);
  for (let row = 0; row < rows; row++) times[row] = feastTime(foundTime(readings[row * lookups + lookup]!));
  return `[${times.join(",")}]`;
}

function latestTimes(readings: readonly EntityReading[], lookups: number, rows: number): string {
  const latest = Array.from({ length: rows }, (_, row) =>
    feastTime(Math.max(...readings.slice(row * lookups, (row + 1) * lookups).map(foundTime))),
  );
  return `[${latest.join(",")}]`;
}
