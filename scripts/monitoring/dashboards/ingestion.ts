import { type DashboardSpec, rate, series } from "../panel.ts";

const mean = (metric: string): string =>
  `${rate(`${metric}_sum`, "source", "stage")} / ${rate(`${metric}_count`, "source", "stage")}`;

export const ingestion: DashboardSpec = {
  name: "ingestion",
  title: "Millrace / Ingestion",
  rows: [
    {
      title: "Sources",
      panels: [
        series("Events", "cps", "Valid events a second, redeliveries included.", [
          [rate("millrace_ingestion_events_total", "source"), "{{source}}"],
        ]),
        series("Lag in time", "s", "How far each source is behind in event time.", [
          ["max by (source) (millrace_ingestion_lag_seconds)", "{{source}}"],
        ]),
        series("Lag in messages", "short", "Messages that are not handled yet.", [
          ["sum by (source) (millrace_ingestion_lag_messages)", "{{source}}"],
        ]),
        series("Newest event", "dateTimeFromNow", "Event time of the newest event, by source.", [
          ["max by (source) (millrace_ingestion_last_event_timestamp_seconds) * 1000", "{{source}}"],
        ]),
        series("Dead letters", "cps", "Messages that cannot be used, by the reason.", [
          [rate("millrace_ingestion_dead_letters_total", "source", "code"), "{{source}} {{code}}"],
        ]),
        series("Checkpoint age", "s", "How long ago a position was kept; it grows while nothing comes.", [
          ["source:millrace_ingestion_checkpoint_age_seconds:min", "{{source}}"],
        ]),
      ],
    },
    {
      title: "Batches",
      panels: [
        series("Messages per batch", "short", "Mean; larger ones mean a backlog.", [
          [
            `${rate("millrace_ingestion_batch_messages_sum", "source")} / ${rate("millrace_ingestion_batch_messages_count", "source")}`,
            "{{source}}",
          ],
        ]),
        series("Time per batch, ingestion", "s", "Mean of decoding and of handling.", [
          [mean("millrace_ingestion_batch_duration_seconds"), "{{source}} {{stage}}"],
        ]),
        series("Time per batch, engine", "s", "Mean of committing, folding and writing.", [
          [mean("millrace_engine_batch_duration_seconds"), "{{source}} {{stage}}"],
        ]),
      ],
    },
    {
      title: "Engine",
      panels: [
        series("Folded", "cps", "Events that were new.", [
          [rate("millrace_engine_events_total", "source"), "{{source}}"],
        ]),
        series("Written", "cps", "Values written to the hot store.", [
          [rate("millrace_engine_hot_store_writes_total", "source"), "{{source}}"],
        ]),
        series("Known already", "cps", "Redeliveries, and other events under a known id.", [
          [rate("millrace_engine_duplicates_total", "source"), "{{source}} duplicates"],
          [rate("millrace_engine_id_conflicts_total", "source"), "{{source}} conflicts"],
        ]),
        series("Null keys", "cps", "Events that a view skipped because a key was null.", [
          [rate("millrace_engine_null_keys_total", "source"), "{{source}}"],
        ]),
        series("Watermark", "dateTimeFromNow", "The source's clock.", [
          ["max by (source) (millrace_engine_clock_timestamp_seconds) * 1000", "{{source}}"],
        ]),
        series("Recovery", "short", "Events that are still to be folded from history, and those that are.", [
          ["sum by (source) (millrace_engine_recovery_pending_events)", "{{source}} pending"],
          ["sum by (source) (millrace_engine_recovery_folded_events)", "{{source}} folded"],
        ]),
      ],
    },
    {
      title: "Apache Beam",
      panels: [
        series("Beam: folded", "cps", "Events that jobs of Beam folded; after a restart some come again.", [
          [rate("millrace_beam_events_total", "source"), "{{source}}"],
        ]),
        series("Beam: written", "cps", "Tiles that reached the sink, values written, and those merged again.", [
          [rate("millrace_beam_tiles_total", "source"), "{{source}} tiles"],
          [rate("millrace_beam_hot_store_writes_total", "source"), "{{source}} values"],
          [rate("millrace_beam_write_conflicts_total", "source"), "{{source}} again"],
        ]),
        series("Beam: left out", "cps", "Known ids, null keys, and functions that failed.", [
          [rate("millrace_beam_duplicates_total", "source"), "{{source}} duplicates"],
          [rate("millrace_beam_null_keys_total", "source"), "{{source}} null keys"],
          [rate("millrace_beam_function_failures_total", "source"), "{{source}} failures"],
        ]),
        series("Beam: running", "short", "1 while the source's job runs.", [
          ["max by (source) (millrace_beam_running)", "{{source}}"],
        ]),
        series("Beam: watermark", "dateTimeFromNow", "Up to where arrivals are taken to be complete.", [
          ["max by (source) (millrace_beam_watermark_timestamp_seconds) * 1000", "{{source}}"],
        ]),
        series("Beam: watermark lag", "s", "How far a job's watermark is behind the wall clock; lateness included.", [
          ["max by (source) (millrace_beam_watermark_lag_seconds)", "{{source}}"],
        ]),
        series("Beam: lag in messages", "short", "Messages of Kafka that are not read yet.", [
          ["sum by (source) (millrace_beam_backlog_messages)", "{{source}}"],
        ]),
        series("Beam: newest event", "dateTimeFromNow", "The largest event time that was written.", [
          ["max by (source) (millrace_beam_newest_event_timestamp_seconds) * 1000", "{{source}}"],
        ]),
        series("Beam: dead letters", "cps", "Messages that jobs could not take.", [
          [rate("millrace_beam_dead_letters_total", "source"), "{{source}}"],
        ]),
        series("Beam: checkpoint age", "s", "How long ago a job's state was kept.", [
          ["time() - max by (source) (millrace_beam_last_checkpoint_timestamp_seconds)", "{{source}}"],
        ]),
      ],
    },
  ],
};
