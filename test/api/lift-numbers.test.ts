import fc from "fast-check";
import { expect, it } from "vitest";
import { readInferRequest } from "../../src/api/open_inference/infer-request.ts";
import { liftNumbers } from "../../src/api/open_inference/lift-numbers.ts";
import { isMillraceError } from "../../src/definitions/errors.ts";

/** Long enough for lists to be lifted out of it; the request is the same. */
const long = (text: string): string => text + " ".repeat(5_000);

function outcome(text: string): unknown {
  try {
    return readInferRequest(Buffer.from(text), null);
  } catch (error) {
    return isMillraceError(error) ? { code: error.code, message: error.message, details: error.details } : error;
  }
}

const number = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.integer({ min: -300, max: 300 }).map(String),
  fc.constantFrom("-0", "1e999", "null", "true", '"1"', "1.", "[]", "{}", "9007199254740993"),
);
const flat = fc.array(number, { maxLength: 6 }).map((list) => `[${list.join(",")}]`);
const list = fc.oneof(
  flat,
  fc.array(flat, { maxLength: 3 }).map((lists) => `[${lists.join(" , ")}]`),
  fc.constantFrom("[1 2]", "[1,]", "[[1],]", "[[1]", "1", '"lifted 0"', "[[[[1]]],2]"),
);
const input = fc
  .record({
    name: fc.constantFrom('"a"', '"b"', '"\\"data\\":[1]"', '"x\\"data"'),
    type: fc.constantFrom("FP32", "FP64", "INT32", "INT64", "BYTES", "BOOL", "FP99"),
    shape: fc.constantFrom("[1]", "[2]", "[2,2]", "[3,1]", "[1,4]", "[0]"),
    data: list,
    more: fc.constantFrom(
      "",
      "",
      "",
      ',"data":[1]',
      ',"parameters":{"data":[1,2]}',
      ',"parameters":{"x":"\\"data\\":[1]"}',
    ),
  })
  .map(({ name, type, shape, data, more }) => {
    return `{"name":${name},"shape":${shape},"datatype":"${type}","data" : ${data}${more}}`;
  });
const request = fc.array(input, { maxLength: 3 }).map((inputs) => `{"inputs":[${inputs.join(",")}]}`);

it("a request whose lists of numbers are lifted out is read as it is read whole", () => {
  fc.assert(
    fc.property(request, (text) => {
      expect(outcome(long(text))).toStrictEqual(outcome(text));
    }),
    { numRuns: 3_000 },
  );
});

it("lists of numbers are lifted, nested or not, and nothing else is", () => {
  const lift = (text: string): readonly number[][] | null => {
    const lifted = liftNumbers(Buffer.from(long(text)));
    if (lifted === null) return null;
    const parsed = JSON.parse(lifted.text) as { readonly data: string };
    expect(lifted.lists.has(parsed.data)).toBe(true);
    return [...lifted.lists.values()].map((numbers) => [...numbers]);
  };
  expect(lift('{"data":[1,2.5,-3e2]}')).toEqual([[1, 2.5, -300]]);
  expect(lift('{"x":"é","data" : [[1, 2], [3]] }')).toEqual([[1, 2, 3]]);
  expect(lift(`{"data":[${Array.from({ length: 5_000 }, (_, i) => i)}]}`)![0]).toHaveLength(5_000);
  expect(lift('{"data":[1,null]}')).toBeNull();
  expect(lift('{"data":[]}')).toBeNull();
  expect(lift('{"x\\"data":[1]}')).toBeNull();
  expect(lift(`{"data":${"[".repeat(9)}1${"]".repeat(9)}}`)).toBeNull();
  expect(liftNumbers(Buffer.from('{"data":[1]}'))).toBeNull();
});
