import type * as cog from "@grafana/grafana-foundation-sdk/cog";
import * as common from "@grafana/grafana-foundation-sdk/common";
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import {
  DashboardBuilder,
  DatasourceVariableBuilder,
  type Panel,
  RowBuilder,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { DataqueryBuilder } from "@grafana/grafana-foundation-sdk/prometheus";
import * as stat from "@grafana/grafana-foundation-sdk/stat";
import * as table from "@grafana/grafana-foundation-sdk/table";
import * as timeseries from "@grafana/grafana-foundation-sdk/timeseries";
import type { DashboardSpec, PanelSpec } from "./panel.ts";

/** Chosen at the top of each dashboard. */
const SOURCE = { type: "prometheus", uid: "$source" };

/** A dashboard as Grafana reads it from a file. */
export function grafanaDashboard({ name, title, rows }: DashboardSpec): dashboard.Dashboard {
  const builder = new DashboardBuilder(title)
    .uid(`millrace-${name}`)
    .tags(["millrace"])
    .refresh("10s")
    .time({ from: "now-1h", to: "now" })
    .timezone("browser")
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .withVariable(new DatasourceVariableBuilder("source").label("Prometheus").type("prometheus"));
  for (const row of rows) {
    builder.withRow(new RowBuilder(row.title));
    for (const panel of row.panels) builder.withPanel(panelOf(panel));
  }
  return builder.build();
}

function panelOf(spec: PanelSpec): cog.Builder<Panel> {
  return { timeseries: timeseriesPanel, stat: statPanel, table: tablePanel }[spec.kind](spec);
}

function timeseriesPanel(spec: PanelSpec): cog.Builder<Panel> {
  const panel = new timeseries.PanelBuilder()
    .title(spec.title)
    .description(spec.about)
    .datasource(SOURCE)
    .unit(spec.unit)
    .span(spec.width)
    .height(8)
    .lineWidth(1)
    .fillOpacity(8)
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.List)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true),
    )
    .tooltip(
      new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi).sort(common.SortOrder.Descending),
    );
  for (const [i, { expr, legend }] of spec.queries.entries()) {
    panel.withTarget(
      new DataqueryBuilder()
        .refId(refId(i))
        .expr(expr)
        .legendFormat(legend)
        .range()
        .exemplar(spec.hasExemplars === true),
    );
  }
  return panel;
}

function statPanel(spec: PanelSpec): cog.Builder<Panel> {
  const panel = new stat.PanelBuilder()
    .title(spec.title)
    .description(spec.about)
    .datasource(SOURCE)
    .unit(spec.unit)
    .span(spec.width)
    .height(4)
    .colorMode(common.BigValueColorMode.None);
  for (const target of instantTargets(spec)) panel.withTarget(target);
  return panel;
}

function tablePanel(spec: PanelSpec): cog.Builder<Panel> {
  const panel = new table.PanelBuilder()
    .title(spec.title)
    .description(spec.about)
    .datasource(SOURCE)
    .unit(spec.unit)
    .span(spec.width)
    .height(8);
  for (const target of instantTargets(spec)) panel.withTarget(target);
  return panel;
}

function instantTargets({ queries }: PanelSpec): readonly DataqueryBuilder[] {
  return queries.map(({ expr, legend }, i) =>
    new DataqueryBuilder().refId(refId(i)).expr(expr).legendFormat(legend).instant(),
  );
}

function refId(i: number): string {
  return String.fromCharCode(65 + i);
}
