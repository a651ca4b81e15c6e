import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readPlainHead } from "../../../src/api/direct/request-head.ts";

const LINE = "POST /v1/models/fraud/predict HTTP/1.1";
const PLAIN = ["Host: localhost:8080", "Content-Type: application/json", "Content-Length: 12"];
const head = (...lines: readonly string[]): string => [LINE, ...lines].join("\r\n");

describe("a plain head", () => {
  it("names the model and the length of the body, and may have headers that change nothing", () => {
    const expected = { kind: "predict", model: "fraud", bodyBytes: 12 };
    expect(readPlainHead(head(...PLAIN))).toEqual(expected);
    const more = [
      "user-agent: x/1",
      "Accept: */*",
      "ACCEPT-ENCODING: gzip, br",
      "Connection: Keep-Alive",
      "X-Forwarded-For: ::1",
    ];
    expect(readPlainHead(head(...more, ...PLAIN))).toEqual({ ...expected, acceptEncoding: "gzip, br" });
    expect(readPlainHead(head(...PLAIN, "x-request-timeout-ms: 50", "X-API-Key: k"))).toEqual({
      ...expected,
      timeout: "50",
      apiKey: "k",
    });
    expect(readPlainHead(head(...PLAIN).replace("json", "json; charset=UTF-8"))).toEqual(expected);
  });

  it("of the Open Inference Protocol may have any type, or none, and says how much of the body is JSON", () => {
    const infer = (...lines: readonly string[]): unknown =>
      readPlainHead(["POST /v2/models/fraud/infer HTTP/1.1", ...lines].join("\r\n"));
    const expected = { kind: "infer", model: "fraud", bodyBytes: 12 };
    expect(infer(...PLAIN)).toEqual(expected);
    expect(infer(PLAIN[0]!, PLAIN[2]!)).toEqual(expected);
    const more = [
      "Content-Type: application/octet-stream",
      "Inference-Header-Content-Length: 5",
      "Origin: https://a.b",
    ];
    expect(infer(PLAIN[0]!, PLAIN[2]!, ...more)).toEqual({ ...expected, jsonBytes: "5", origin: "https://a.b" });
    expect(infer(...PLAIN, "Content-Encoding: gzip")).toBeNull();
  });

  it.each([
    ["a transfer encoding", [...PLAIN, "Transfer-Encoding: chunked"]],
    ["a length twice", [...PLAIN, "Content-Length: 12"]],
    ["a length that is a list", [PLAIN[0]!, PLAIN[1]!, "Content-Length: 12, 12"]],
    ["a length with a sign", [PLAIN[0]!, PLAIN[1]!, "Content-Length: +12"]],
    ["no length", PLAIN.slice(0, 2)],
    ["an empty body", [PLAIN[0]!, PLAIN[1]!, "Content-Length: 0"]],
    ["no host", PLAIN.slice(1)],
    ["two hosts", [...PLAIN, "host: other"]],
    ["a connection that ends", [...PLAIN, "Connection: close"]],
    ["an upgrade", [...PLAIN, "Connection: upgrade", "Upgrade: h2c"]],
    ["an expectation", [...PLAIN, "Expect: 100-continue"]],
    ["an encoded body", [...PLAIN, "Content-Encoding: gzip"]],
    ["another type", [PLAIN[0]!, "Content-Type: text/csv", PLAIN[2]!]],
    ["a length of JSON ahead of tensors", [...PLAIN, "Inference-Header-Content-Length: 5"]],
    ["a header that is not known", [...PLAIN, "X-Http-Method-Override: GET"]],
    ["a folded line", [...PLAIN, " folded"]],
    ["a space ahead of the colon", [...PLAIN, "User-Agent : x"]],
    ["a bare line feed", [...PLAIN, "User-Agent: x\nTransfer-Encoding: chunked"]],
    ["a bare carriage return", [...PLAIN, "User-Agent: x\rTransfer-Encoding: chunked"]],
    ["a byte beyond ASCII", [...PLAIN, "User-Agent: \u00e9"]],
    ["a null byte", [...PLAIN, "User-Agent: \0"]],
    ["an empty line", [...PLAIN, ""]],
  ])("has not %s", (_what, lines) => {
    expect(readPlainHead(head(...lines))).toBeNull();
  });

  it.each([
    "GET /v1/models/fraud/predict HTTP/1.1",
    "POST /v1/models/fraud/predict HTTP/1.0",
    "POST /v1/models/fraud/predict?x=1 HTTP/1.1",
    "POST /v1/models/fra%75d/predict HTTP/1.1",
    "POST /v1/models/fraud/predict/ HTTP/1.1",
    "POST http://host/v1/models/fraud/predict HTTP/1.1",
    "POST  /v1/models/fraud/predict HTTP/1.1",
    "post /v1/models/fraud/predict HTTP/1.1",
    "POST /v1/models/fraud/predict HTTP/1.1 ",
  ])("does not begin with %j", (line) => {
    expect(readPlainHead([line, ...PLAIN].join("\r\n"))).toBeNull();
  });

  it("has no control character but the ends of its lines, whatever comes", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat({ max: 0x1f }), (at, control) => {
        const text = head(...PLAIN);
        const place = at % (text.length + 1);
        const byte = String.fromCharCode(control);
        if (byte === "\t") return;
        expect(readPlainHead(text.slice(0, place) + byte + text.slice(place))).toBeNull();
      }),
    );
  });
});
