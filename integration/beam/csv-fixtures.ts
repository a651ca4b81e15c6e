const AT = "2026-06-01T00:00:00Z";
const HEADER = "user,note,at";
/** Characters, behind which a CSV record is too long. */
const LONGEST = 1024 * 1024;
const PIECES = ['"', '"', '""', ",", ",", "\n", "\n", "\r\n", "\r", "a", "é", "日", "😀", " ", "\t", "\u00a0", AT];

/** CSV files that are whole, damaged and odd, by their names; `random` many made of what CSV is made of. */
export function csvFixtures(random: number): ReadonlyMap<string, string> {
  const row = (user: string, note: string): string => `${user},${note},${AT}`;
  const files: Record<string, readonly string[] | string> = {
    plain: [HEADER, row("a", "x"), row("b", '"two\nlines, and ""quotes"""'), row("c", ""), "", row("d", "y")],
    marked: `\ufeff"user",note, at \r\n${row("a", "1")}\r\n\r\n  \r\n\u00a0\r\n${row("b", '"\r\n"')}\r\n`,
    unclosed: [HEADER, row("a", "x"), row("b", '"never closed'), row("c", "y"), row("d", "z")],
    unclosed_at_the_end: [HEADER, row("a", "x"), 'b,"to the end'],
    closed_later: [HEADER, row("a", '"opened here'), row("b", 'and closed" here'), row("c", "y")],
    closed_amid: [HEADER, row("a", '"x"y'), row("b", 'x"y"'), row("c", '"x" '), row("d", "z")],
    short_and_long: [HEADER, "a", "a,b", row("a", "b,c"), row("d", "z"), ",,", `,"",${AT}`],
    unclosed_far_from_the_end: [
      HEADER,
      row("a", "x"),
      row("b", '"open'),
      row("c", "日".repeat(LONGEST)),
      row("d", "z"),
    ],
    long_quoted: [HEADER, row("a", `"${`${"x".repeat(LONGEST / 4)}\n`.repeat(4)}"`), row("b", "y")],
    long_line: [HEADER, row("a", "é".repeat(LONGEST)), row("b", `"${"😀".repeat(LONGEST / 4)}"`), row("c", "y")],
    just_short_enough: [HEADER, row("a", "日".repeat(LONGEST - AT.length - 3)), row("b", "y")],
    just_too_long: [HEADER, row("a", "日".repeat(LONGEST - AT.length - 2)), row("b", "y")],
    only_a_header: HEADER,
  };
  const all = new Map(
    Object.entries(files).map(([name, text]) => [name, typeof text === "string" ? text : text.join("\n")]),
  );
  // Numerical Recipes' linear congruential generator.
  let state = 20_261_127;
  const choose = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let file = 0; file < random; file++) {
    const lines = Array.from({ length: 1 + choose(12) }, () =>
      choose(4) > 0
        ? row(`u${choose(4)}`, `n${choose(9)}`)
        : Array.from({ length: choose(12) }, () => PIECES[choose(PIECES.length)]!).join(""),
    );
    all.set(`random_${file}`, [HEADER, ...lines].join("\n"));
  }
  return all;
}
