import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import { DRIFT_THRESHOLDS, type DriftVerdict, driftVerdict } from "../../feature_engineering/profiles/drift-verdict.ts";
import { type ProfileBuilder, profileBuilder } from "../../feature_engineering/profiles/profile-builder.ts";
import type { ServiceProfile } from "../../feature_engineering/profiles/value-profile.ts";
import type { QualityColumnReport } from "../read-side.ts";
import { type ValueWindow, valueWindow } from "./value-window.ts";

export interface QualityColumn {
  readonly name: string;
  readonly type: ColumnTypeSpec;
}

/** `drifted` is set by two looks in a row that find a reason, and taken away by two that find none at half the floors. */
export type ColumnQuality = QualityColumnReport;

/** The quality of rows with the same columns: their last values against a profile. */
export interface RowQuality {
  /** Takes a row; `value` gives that of a column. */
  add(value: (column: number) => Value | undefined, now: number): void;
  /** Of the columns that have profiles. The verdicts are of the last look. */
  readonly columns: readonly ColumnQuality[];
  /** All rows that were taken. */
  readonly rows: number;
}

/** A window is the last 2,500 to 3,000 rows, and nothing of more than a day. */
const SUB_WINDOWS = 6;
const SUB_WINDOW_ROWS = 500;
const SUB_WINDOW_MS = 4 * 3_600_000;
/** Rows after which the windows are compared again. */
const LOOK_ROWS = 50;
/** Without a training set's profile: the rows whose profile later ones are compared with. */
const BASELINE_ROWS = 1_000;

const HALF: typeof DRIFT_THRESHOLDS = {
  ...DRIFT_THRESHOLDS,
  psi: DRIFT_THRESHOLDS.psi / 2,
  nullRatio: DRIFT_THRESHOLDS.nullRatio / 2,
  outOfRangeRatio: DRIFT_THRESHOLDS.outOfRangeRatio / 2,
};

interface Tracked {
  readonly name: string;
  readonly index: number;
  baseline: ColumnQuality["baseline"];
  builder: ProfileBuilder | null;
  window: ValueWindow | null;
  verdict: DriftVerdict | null;
  drifted: boolean;
  driftedSince: number | null;
  /** Looks in a row that speak for the other state. */
  against: number;
}

export function rowQuality(columns: readonly QualityColumn[], profile: ServiceProfile | null): RowQuality {
  const tracked = columns.flatMap(({ name, type }, index): Tracked[] => {
    const builder = profileBuilder(type);
    if (builder === null) return [];
    const known = profile !== null && Object.hasOwn(profile.features, name) ? profile.features[name]! : null;
    const baseline = known === null ? null : "training_set";
    const window = known === null ? null : valueWindow(known, SUB_WINDOWS);
    const state = { verdict: null, drifted: false, driftedSince: null, against: 0 };
    return [{ name, index, baseline, builder: known === null ? builder : null, window, ...state }];
  });
  let rows = 0;
  let inSubWindow = 0;
  let beganAt = 0;

  function look(now: number): void {
    for (const column of tracked) {
      const { window } = column;
      if (window === null) continue;
      column.verdict = driftVerdict(window.profile, window, tracked.length);
      const thresholds = column.drifted ? HALF : DRIFT_THRESHOLDS;
      const { reasons } = column.drifted
        ? driftVerdict(window.profile, window, tracked.length, thresholds)
        : column.verdict;
      if (reasons.length > 0 === column.drifted) {
        column.against = 0;
      } else if (++column.against >= 2) {
        column.drifted = !column.drifted;
        column.driftedSince = column.drifted ? now : null;
        column.against = 0;
      }
    }
  }

  return {
    columns: tracked,
    get rows() {
      return rows;
    },
    add(value, now) {
      if (rows === 0) beganAt = now;
      // A pause of several sub-windows forgets as many.
      for (let i = 0; i < SUB_WINDOWS && now - beganAt >= SUB_WINDOW_MS; i++) rotate(beganAt + SUB_WINDOW_MS);
      if (now - beganAt >= SUB_WINDOW_MS) beganAt = now;
      if (inSubWindow >= SUB_WINDOW_ROWS) rotate(now);
      for (let i = 0; i < tracked.length; i++) {
        const column = tracked[i]!;
        const one = value(column.index) ?? null;
        if (column.window !== null) column.window.add(one);
        else column.builder!.add(one);
      }
      rows++;
      inSubWindow++;
      if (rows === BASELINE_ROWS) endBaselines();
      if (rows % LOOK_ROWS === 0) look(now);
    },
  };

  function rotate(now: number): void {
    for (const { window } of tracked) window?.rotate();
    inSubWindow = 0;
    beganAt = now;
  }

  function endBaselines(): void {
    for (const column of tracked) {
      if (column.builder === null) continue;
      column.window = valueWindow(column.builder.finish(), SUB_WINDOWS);
      column.builder = null;
      column.baseline = "first_rows";
    }
  }
}
