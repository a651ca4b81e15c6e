import { largestOf, quantileOf, rateOf, readExposition, sumOf } from "./exposition.js";

const EVERY_MS = 2000;
/** Readings that the lines show: five minutes. */
const KEPT = 150;
/** Rates and percentiles are of the last readings. */
const OVER = 5;
const KEY = "millrace-api-key";
const PREDICTION = "millrace_prediction_duration_seconds";
const READ = "millrace_online_read_duration_seconds";

const $ = (selector) => document.querySelector(selector);
const readings = [];
let catalog = { models: [], services: [], sources: [] };
let isEdited = false;

/** Text is never taken for HTML. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

class Refused extends Error {}

async function ask(path, init = {}) {
  const key = sessionStorage.getItem(KEY);
  const headers = { ...init.headers, ...(key === null ? {} : { "x-api-key": key }) };
  const response = await fetch(path, { ...init, headers });
  if (response.status === 401 || response.status === 403) throw new Refused((await response.json()).detail);
  return response;
}

/** Three significant digits, and every digit before the point. */
function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en");
  return value.toLocaleString("en", { maximumSignificantDigits: 3 });
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds > 0 && seconds < 0.001) return `${number(seconds * 1e6)} µs`;
  if (seconds > 0 && seconds < 1) return `${number(seconds * 1e3)} ms`;
  if (seconds < 120) return `${number(seconds)} s`;
  return seconds < 7200 ? `${number(seconds / 60)} min` : `${number(seconds / 3600)} h`;
}

const percent = (share) => (share === null ? "–" : `${number(share * 100)} %`);

function share(before, after, good, bad, labels) {
  const hits = rateOf(before, after, good, labels) ?? 0;
  const misses = rateOf(before, after, bad, labels) ?? 0;
  return hits + misses === 0 ? null : hits / (hits + misses);
}

/** By tile: its name, its value between two readings, and how that is written. */
const TILES = [
  ["Predictions", (a, b) => rateOf(a, b, "millrace_predictions_total"), (v) => [number(v), "rows/s"]],
  ["Prediction latency, P50", (a, b) => quantileOf(a, b, PREDICTION, 0.5), (v) => [duration(v), ""]],
  ["Prediction latency, P95", (a, b) => quantileOf(a, b, PREDICTION, 0.95), (v) => [duration(v), ""]],
  ["Prediction latency, P99", (a, b) => quantileOf(a, b, PREDICTION, 0.99), (v) => [duration(v), ""]],
  ["Events in", (a, b) => rateOf(a, b, "millrace_ingestion_events_total"), (v) => [number(v), "events/s"]],
  ["Ingestion lag", (_, b) => largestOf(b, "millrace_ingestion_lag_seconds"), (v) => [duration(v), "of event time"]],
  [
    "Hot store hits",
    (a, b) => share(a, b, "millrace_online_store_hits_total", "millrace_online_store_misses_total", {}),
    (v) => [percent(v), ""],
  ],
  ["Requests", (a, b) => rateOf(a, b, "millrace_http_requests_total"), (v) => [number(v), "requests/s"]],
];

function line(values) {
  const known = values.filter((value) => value !== null);
  const top = Math.max(...known, 0) || 1;
  let path = "";
  let isDrawn = false;
  values.forEach((value, index) => {
    if (value === null) {
      isDrawn = false;
      return;
    }
    const x = (KEPT - values.length + index) * (300 / (KEPT - 1));
    path += `${isDrawn ? "L" : "M"}${x.toFixed(1)} ${(38 - (value / top) * 36).toFixed(1)}`;
    isDrawn = true;
  });
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 300 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "path");
  drawn.setAttribute("d", path);
  svg.append(drawn);
  return svg;
}

function showTiles() {
  const tiles = TILES.map(([name, value, text]) => {
    const values = readings.map((reading, i) => (i === 0 ? null : value(readings[Math.max(0, i - OVER)], reading)));
    const [now, unit] = text(values.at(-1) ?? null);
    return element(
      "div",
      { class: "tile" },
      element("h3", {}, name),
      element("strong", {}, now),
      element("small", {}, unit),
      line(values),
    );
  });
  $("#tiles").replaceChildren(...tiles);
}

/** A cell is a text, or { text, class }. The first `texts` columns are flush left. */
function showTable(selector, columns, texts, rows, empty) {
  const cell = (name, value, index) => {
    const { text, class: extra = "" } = typeof value === "object" ? value : { text: value };
    return element(name, { class: `${index < texts ? "text" : ""} ${extra}` }, text);
  };
  const head = element("tr", {}, ...columns.map((column, i) => cell("th", column, i)));
  const body = rows.map((row) => element("tr", {}, ...row.map((value, i) => cell("td", value, i))));
  if (rows.length === 0) body.push(element("tr", {}, element("td", { class: "text", colspan: columns.length }, empty)));
  $(selector).replaceChildren(head, ...body);
}

function showTables() {
  const after = readings.at(-1);
  const before = readings[Math.max(0, readings.length - 1 - OVER)];
  const models = catalog.models.map((model) => {
    const labels = { model: model.name };
    const all = rateOf(before, after, "millrace_prediction_requests_total", labels);
    const ok = rateOf(before, after, "millrace_prediction_requests_total", { ...labels, outcome: "ok" });
    const errors = all === null ? null : all - (ok ?? 0);
    const failure = model.is_failing ? ` (newer ones fail: ${model.last_failure?.code ?? "see its versions"})` : "";
    return [
      model.name,
      model.service,
      { text: `${model.status}${failure}`, class: model.is_failing || model.status !== "serving" ? "bad" : "good" },
      model.serving?.version ?? "–",
      model.serving?.flavor ?? "–",
      number(all),
      { text: number(errors), class: errors > 0 ? "bad" : "" },
      ...[0.5, 0.95, 0.99].map((q) => duration(quantileOf(before, after, PREDICTION, q, labels))),
    ];
  });
  showTable(
    "#models",
    ["model", "feature service", "status", "version", "flavor", "requests/s", "errors/s", "P50", "P95", "P99"],
    3,
    models,
    "No model is declared.",
  );

  const services = catalog.services.map((service) => {
    const labels = { service: service.name };
    const drifted = (after.samples.get("millrace_feature_drift_detected") ?? []).filter(
      (sample) => sample.labels.service === service.name && sample.value === 1,
    );
    return [
      service.name,
      service.views.join(", "),
      drifted.length === 0
        ? "none"
        : { text: drifted.map(({ labels: { feature } }) => feature).join(", "), class: "bad" },
      String(service.columns.length),
      number(rateOf(before, after, "millrace_online_read_rows_total", labels)),
      percent(share(before, after, "millrace_online_store_hits_total", "millrace_online_store_misses_total", labels)),
      ...[0.5, 0.99].map((q) => duration(quantileOf(before, after, READ, q, labels))),
    ];
  });
  showTable(
    "#services",
    ["service", "views", "drifted", "features", "rows read/s", "hits", "P50", "P99"],
    3,
    services,
    "No feature service is declared.",
  );

  const sources = catalog.sources.map((source) => {
    const labels = { source: source.name };
    const letters = sumOf(after, "millrace_ingestion_dead_letters_total", labels) ?? 0;
    const newest = largestOf(after, "millrace_ingestion_last_event_timestamp_seconds", labels);
    return [
      source.name,
      source.connector,
      number(rateOf(before, after, "millrace_ingestion_events_total", labels)),
      number(sumOf(after, "millrace_ingestion_events_total", labels) ?? 0),
      { text: number(letters), class: letters > 0 ? "bad" : "" },
      number(sumOf(after, "millrace_ingestion_lag_messages", labels)),
      duration(largestOf(after, "millrace_ingestion_lag_seconds", labels)),
      newest === null ? "–" : new Date(newest * 1000).toISOString().replace(/\.\d+Z$/, "Z"),
    ];
  });
  showTable(
    "#sources",
    ["source", "from", "events/s", "events", "dead letters", "behind", "lag", "newest event"],
    2,
    sources,
    "No source is declared.",
  );
}

/** What became of predictions, by outcome and window, over all versions. */
function showOutcomes() {
  const { samples } = readings.at(-1);
  const of = (name) => (samples.get(name) ?? []).filter(({ labels }) => (labels.version ?? "all") === "all");
  const windows = Map.groupBy(of("millrace_model_quality_score"), ({ labels }) =>
    [labels.model, labels.outcome, labels.window].join(" "),
  );
  const rows = [...windows.values()].map((scores) => {
    const { model, outcome, window } = scores[0].labels;
    const isOf = ({ labels }) => labels.model === model && labels.outcome === outcome;
    const count = (state) =>
      of("millrace_model_quality_rows").find(
        (sample) => isOf(sample) && sample.labels.window === window && sample.labels.state === state,
      )?.value ?? 0;
    const broken = of("millrace_model_quality_degraded").filter((sample) => isOf(sample) && sample.value === 1);
    return [
      model,
      outcome,
      window === "recent" ? "last 500" : window,
      broken.length === 0
        ? { text: "as it must be", class: "good" }
        : { text: `degraded: ${broken.map(({ labels }) => labels.metric).join(", ")}`, class: "bad" },
      scores.map(({ labels, value }) => `${labels.metric.replaceAll("_", " ")} ${number(value)}`).join(", "),
      number(count("matched")),
      number(count("unmatched")),
    ];
  });
  $("#outcomes").hidden = rows.length === 0;
  showTable(
    "#outcomes table",
    ["model", "outcome", "window", "quality", "measures", "matched", "unmatched"],
    5,
    rows,
    "",
  );
}

const EXAMPLES = { string: "", int64: 0, int32: 0, float64: 0, bool: false, timestamp: null };

function exampleOf(model) {
  const value = ({ type, values }) =>
    values?.[0] ?? (type === "timestamp" ? new Date().toISOString() : (EXAMPLES[type] ?? null));
  const row = Object.fromEntries(model.inputs.map((input) => [input.name, value(input)]));
  return JSON.stringify({ rows: [row], include_features: true }, null, 2);
}

function showTry() {
  const select = $("#try select");
  const names = catalog.models.map(({ name }) => name);
  $("#try").hidden = names.length === 0;
  if (names.join() === [...select.options].map(({ value }) => value).join()) return;
  select.replaceChildren(...names.map((name) => element("option", {}, name)));
  fillTry();
}

function fillTry() {
  const model = catalog.models.find(({ name }) => name === $("#try select").value);
  if (model !== undefined && !isEdited) $("#try textarea").value = exampleOf(model);
}

async function predict(event) {
  event.preventDefault();
  const name = encodeURIComponent($("#try select").value);
  const begun = performance.now();
  try {
    const body = $("#try textarea").value;
    const response = await ask(`v1/models/${name}/predict`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    const answer = await response.json();
    $("#try pre").textContent =
      `${response.status} after ${duration((performance.now() - begun) / 1000)}\n${JSON.stringify(answer, null, 2)}`;
  } catch (error) {
    $("#try pre").textContent = error.message;
  }
}

function showState(text, kind) {
  $("#state").textContent = text;
  $("#state").className = kind;
}

async function readCatalog() {
  const [models, services, sources] = await Promise.all(
    ["v1/models", "v1/features/services", "v1/sources"].map(async (path) => (await ask(path)).json()),
  );
  catalog = { models: models.models, services: services.services, sources: sources.sources };
}

async function turn() {
  try {
    const [text, ready] = await Promise.all([
      ask("metrics").then((response) => response.text()),
      fetch("readyz").then((response) => response.json()),
      readCatalog(),
    ]);
    readings.push(readExposition(text, performance.now()));
    if (readings.length > KEPT) readings.shift();
    $("#login").hidden = true;
    showState(
      ready.reasons.length === 0 ? "ready" : `not ready: ${ready.reasons.join("; ")}`,
      ready.reasons.length === 0 ? "good" : "bad",
    );
    showTiles();
    showTables();
    showOutcomes();
    showTry();
  } catch (error) {
    if (error instanceof Refused) {
      $("#login").hidden = false;
      $("#login output").textContent = sessionStorage.getItem(KEY) === null ? "" : error.message;
      showState("an API key is needed", "bad");
    } else showState("the server does not answer", "bad");
  }
}

async function watch() {
  while (true) {
    if (!document.hidden) await turn();
    await new Promise((resolve) => setTimeout(resolve, readings.length < 2 ? 500 : EVERY_MS));
  }
}

$("#login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, new FormData(event.target).get("key"));
  void turn();
});
$("#try form").addEventListener("submit", predict);
$("#try select").addEventListener("change", () => {
  isEdited = false;
  fillTry();
});
$("#try textarea").addEventListener("input", () => {
  isEdited = true;
});
void watch();
