import type { FaultFigures } from "../integration/orders/fault-figures.ts";

/** Prints a table of all; an aim that is missed makes the process end with 1. */
export function reportFaults(all: readonly FaultFigures[]): void {
  const rows = [
    ["fault", "events", "lost", "twice", "values wrong", "poison set aside", "seconds", ""],
    ["aim", "", "0", "0", "0", "each once", "", ""],
    ...all.map(({ fault, events, lost, twice, wrong, values, poison, setAside, seconds, besides }) => [
      fault,
      String(events),
      String(lost),
      String(twice),
      `${wrong} of ${values}`,
      `${setAside} of ${poison}`,
      seconds.toFixed(0),
      besides,
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const row of rows) {
    process.stdout.write(
      `${row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd()}\n`,
    );
  }
  for (const { examples } of all) for (const example of examples) process.stdout.write(`  ${example}\n`);
  const missed = all.some((one) => one.lost + one.twice + one.wrong > 0 || one.setAside !== one.poison);
  if (missed) process.exitCode = 1;
}
