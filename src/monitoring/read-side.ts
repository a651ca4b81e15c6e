/** Metrics as a scrape gets them. */
export interface RenderedMetrics {
  /** Of the text format 0.0.4 or of OpenMetrics 1.0.0. */
  readonly contentType: string;
  readonly body: string;
}

/** What the API asks of monitoring: the answer to `GET /metrics`. */
export interface MetricsReader {
  /** `accept` is the request's header, or empty; it chooses between the text format and OpenMetrics. */
  render(accept: string): Promise<RenderedMetrics>;
}
