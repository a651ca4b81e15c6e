/**
 * The windows of the point-in-time benchmark in DuckDB's SQL, the fastest of those tried: labels joined with the events
 * of their longest window by a hash join on the key, each shorter window a filtered aggregate. Starts of windows are
 * rounded down to a hop, as Millrace defines them.
 */
export function WINDOW_SQL(labels: string): string {
  const windows = [
    ["1h", 3_600_000, 300_000],
    ["24h", 86_400_000, 3_600_000],
    ["7d", 604_800_000, 3_600_000],
  ] as const;
  const view = (name: string, source: string, key: string): string => {
    const aggregates = windows.flatMap(([suffix, width, hop]) => {
      const within = `FILTER (e.t >= ((l.t - ${width}) // ${hop}) * ${hop})`;
      return [
        `count(e.t) ${within} AS ${name}_n_${suffix}`,
        `coalesce(sum(e.amount) ${within}, 0) AS ${name}_total_${suffix}`,
        `avg(e.amount) ${within} AS ${name}_average_${suffix}`,
        `max(e.amount) ${within} AS ${name}_most_${suffix}`,
      ];
    });
    return `${name} AS (SELECT l.label_id, ${aggregates.join(", ")} FROM l LEFT JOIN
      (SELECT ${key}, epoch_ms(_event_time) AS t, amount FROM events_${source}) e
      ON e.${key} = l.${key} AND e.t < l.t AND e.t >= ((l.t - 604800000) // 3600000) * 3600000 GROUP BY l.label_id)`;
  };
  return `WITH l AS (SELECT *, epoch_ms(event_timestamp) AS t FROM read_parquet('${labels}')),
    ${view("paid", "payments", "user_id")}, ${view("sold", "sales", "merchant_id")}, ${view("swiped", "swipes", "card_id")}
    SELECT * EXCLUDE (t) FROM l JOIN paid USING (label_id) JOIN sold USING (label_id) JOIN swiped USING (label_id)`;
}
