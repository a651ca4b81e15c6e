import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { ScoringOptions } from "../../../src/api/models/scoring-client.ts";
import { scoringRunner } from "../../../src/api/models/scoring-runner.ts";
import { codeOf } from "./fixtures.ts";

interface Asked {
  readonly url: string;
  readonly authorization: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: whatever was sent
  readonly body: any;
}

let server: Server | null = null;
let asked: Asked[] = [];

afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server === null ? resolve(null) : server.close(resolve)));
  server = null;
  asked = [];
});

/** A server whose answers a test gives: status and body, or null to hang up. */
async function serve(
  answer: (asked: Asked, times: number) => readonly [number, unknown] | null | "hang",
): Promise<string> {
  server = createServer((request, response) => {
    let text = "";
    request.on("data", (part) => {
      text += part;
    });
    request.on("end", () => {
      const one = {
        url: request.url!,
        authorization: request.headers.authorization,
        body: text === "" ? null : JSON.parse(text),
      };
      asked.push(one);
      const given = answer(one, asked.length);
      if (given === "hang") return;
      if (given === null) request.socket.destroy();
      else response.writeHead(given[0], { "content-type": "application/json" }).end(JSON.stringify(given[1]));
    });
  });
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const open = (url: string, more: Partial<ScoringOptions> = {}): ReturnType<typeof scoringRunner> =>
  scoringRunner("sklearn", { url, retries: 0, ...more }, "7");

describe("a model that MLflow's scoring server has", () => {
  it("is sent a data frame with the columns' names and read row by row, whatever shape the answers have", async () => {
    const shapes = [
      [0.5, 1],
      [
        [0.25, 0.75],
        [1, 0],
      ],
      [
        { a: 1, b: "x" },
        { a: 2, b: "y" },
      ],
      [true, null],
    ];
    const url = await serve((_asked, times) => [200, { predictions: shapes[times - 1] }]);
    const { predict } = (await open(url)).prepare(["amount", "city"]);
    const rows = [
      [1.5, "Gent"],
      [2n ** 60n + 1n, null],
    ];
    expect(await predict(rows)).toEqual([0.5, 1]);
    expect(await predict(rows)).toEqual([
      [0.25, 0.75],
      [1, 0],
    ]);
    expect(await predict(rows)).toEqual([
      [1, "x"],
      [2, "y"],
    ]);
    expect(await predict(rows)).toEqual([1, Number.NaN]);
    expect(asked[0]).toMatchObject({ url: "/invocations", body: { dataframe_split: { columns: ["amount", "city"] } } });
  });

  it("is sent large batches in parts whose answers stay in order", async () => {
    const url = await serve(({ body }) => [200, { predictions: body.dataframe_split.data.map(([x]: [number]) => x) }]);
    const rows = Array.from({ length: 2_500 }, (_, i) => [i]);
    const answers = await (await open(url)).prepare(["x"]).predict(rows);
    expect(answers).toEqual(rows.flat());
    expect(asked.length).toBe(3);
  });

  it("is asked with the configured credentials, at the version's own address", async () => {
    const url = await serve(() => [200, { predictions: [1] }]);
    const runner = await open(`${url}/models/{version}`, { auth: { token: "s3cret" } });
    await runner.prepare(["x"]).predict([[1]]);
    expect(asked[0]).toMatchObject({ url: "/models/7/invocations", authorization: "Bearer s3cret" });
  });

  it.each([
    ["refuses the rows", [400, { message: "Failed to enforce schema" }], "MODEL_RUN_FAILED", /enforce schema/],
    ["refuses the token", [401, {}], "MODEL_SERVER_DENIED", /token/],
    ["fails", [503, {}], "MODEL_SERVER_UNAVAILABLE", /503/],
    ["answers too few rows", [200, { predictions: [] }], "MODEL_RUN_FAILED", /one prediction per row/],
    ["answers something else", [200, "hello"], "MODEL_RUN_FAILED", /one prediction per row/],
    ["hangs up", null, "MODEL_SERVER_UNAVAILABLE", /fails/],
    ["says nothing", "hang", "MODEL_SERVER_UNAVAILABLE", /within 50 ms/],
  ] as const)("gives a clear error when the server %s, without what is secret", async (_what, given, code, text) => {
    const url = await serve(() => given);
    const runner = await open(url, { auth: { token: "s3cret" }, timeoutMs: given === "hang" ? 50 : 10_000 });
    const error = await runner
      .prepare(["x"])
      .predict([[1]])
      .catch((one: unknown) => one);
    expect(error).toMatchObject({ code, message: expect.stringMatching(text) });
    expect(JSON.stringify(error) + String(error)).not.toContain("s3cret");
  });

  it("is asked again after a failure, as often as configured", async () => {
    const url = await serve((_asked, times) => (times < 3 ? [502, {}] : [200, { predictions: [9] }]));
    expect(await (await open(url, { retries: 2 })).prepare(["x"]).predict([[1]])).toEqual([9]);
    expect(asked.length).toBe(3);
  });

  it("is left alone after failures in a row, then tried by one request, and asked again by all when that is answered", async () => {
    let isUp = false;
    const url = await serve(() => (isUp ? [200, { predictions: [1] }] : [500, {}]));
    const { predict } = (await open(url, { breakerFailures: 3, breakerOpenMs: 60 })).prepare(["x"]);
    for (let i = 0; i < 3; i++) expect(await codeOf(() => predict([[1]]))).toBe("MODEL_SERVER_UNAVAILABLE");
    isUp = true;
    const refused = await predict([[1]]).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "MODEL_SERVER_UNAVAILABLE", details: { reason: "CIRCUIT_OPEN" } });
    expect(asked.length).toBe(3);
    await expect.poll(() => predict([[1]]).catch(() => null), { timeout: 30_000 }).toEqual([1]);
    expect(await Promise.all([predict([[1]]), predict([[1]])])).toEqual([[1], [1]]);
  });

  it("gets no more requests at once than configured", async () => {
    let [now, most] = [0, 0];
    const waiting: (() => void)[] = [];
    server = createServer((request, response) => {
      now++;
      most = Math.max(most, now);
      request.resume();
      waiting.push(() => {
        now--;
        response.end(JSON.stringify({ predictions: [1] }));
      });
      setTimeout(() => waiting.shift()?.(), 2);
    });
    await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { predict } = (await open(url, { maxInFlight: 3 })).prepare(["x"]);
    await Promise.all(Array.from({ length: 20 }, () => predict([[1]])));
    expect(most).toBe(3);
  });
});

describe("a model behind the Open Inference Protocol", () => {
  const oip = (url: string): ReturnType<typeof scoringRunner> => open(url, { protocol: "open_inference", model: "m" });

  it("is sent one matrix if it has one input, in the columns' order", async () => {
    const url = await serve(({ url: path }) =>
      path === "/v2/models/m"
        ? [200, { name: "m", versions: ["1", "2"], inputs: [{ name: "in", datatype: "FP32", shape: [-1, 2] }] }]
        : [200, { outputs: [{ name: "out", datatype: "FP32", shape: [2, 2], data: [1, 2, 3, 4] }] }],
    );
    const runner = await oip(url);
    expect(runner.version).toBe("2");
    expect(
      await runner.prepare(["a", "b"]).predict([
        [1, 2],
        [3, true],
      ]),
    ).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(asked.at(-1)).toMatchObject({
      url: "/v2/models/m/infer",
      body: { inputs: [{ name: "in", datatype: "FP32", shape: [2, 2], data: [1, 2, 3, 1] }] },
    });
  });

  it("is sent a tensor per column by name if it has several inputs, and refuses nulls, which the protocol cannot say", async () => {
    const url = await serve(({ url: path }) =>
      path === "/v2/models/m"
        ? [
            200,
            {
              inputs: [
                { name: "b", datatype: "BYTES", shape: [-1, 1] },
                { name: "a", datatype: "INT64", shape: [-1] },
              ],
            },
          ]
        : [200, { outputs: [{ name: "out", datatype: "FP32", shape: [1], data: [5] }] }],
    );
    const { predict } = (await oip(url)).prepare(["a", "b"]);
    expect(await predict([[2n, "x"]])).toEqual([5]);
    expect(asked.at(-1)?.body.inputs).toEqual([
      { name: "b", datatype: "BYTES", shape: [1, 1], data: ["x"] },
      { name: "a", datatype: "INT64", shape: [1], data: [2] },
    ]);
    expect(await codeOf(() => predict([[null, "x"]]))).toBe("MODEL_INPUT_INVALID");
    const runner = await oip(url);
    expect(await codeOf(() => runner.prepare(["a"]))).toBe("SIGNATURE_MISMATCH");
  });
});
