/** Longer than any answer takes; a server that is starting may take a connection and never answer it. */
const ANSWER_MS = 5_000;

/** Whether a server answers there now; `ok`: with success. */
export function answers(url: string, want: "anything" | "ok" = "ok"): Promise<boolean> {
  return fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) }).then(
    async (response) => {
      await response.body?.cancel();
      return want === "anything" || response.ok;
    },
    () => false,
  );
}
