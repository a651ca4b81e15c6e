import { corruptModel, modelError } from "./model-errors.ts";

/** The message-valued fields, by number, that can lead to a tensor (onnx.proto3). */
const CHILDREN = {
  model: new Map([
    [7, "graph"],
    [20, "training"],
    [25, "function"],
  ]),
  training: new Map([
    [1, "graph"],
    [2, "graph"],
  ]),
  graph: new Map([
    [1, "node"],
    [5, "tensor"],
    [15, "sparse"],
  ]),
  node: new Map([[5, "attribute"]]),
  function: new Map([
    [7, "node"],
    [11, "attribute"],
  ]),
  attribute: new Map([
    [5, "tensor"],
    [6, "graph"],
    [10, "tensor"],
    [11, "graph"],
    [22, "sparse"],
    [23, "sparse"],
  ]),
  sparse: new Map([
    [1, "tensor"],
    [2, "tensor"],
  ]),
  tensor: new Map([[13, "external"]]),
  external: new Map(),
} as const satisfies Record<string, ReadonlyMap<number, string>>;

type MessageName = keyof typeof CHILDREN;

const MAX_DEPTH = 100;
const DATA_LOCATION_FIELD = 14;
const EXTERNAL = 1;

/**
 * Refuses an ONNX model that keeps tensors in other files, since such a reference can name any file of the machine.
 *
 * @throws MODEL_UNSUPPORTED for external data, MODEL_CORRUPT for bytes that are no protobuf message.
 */
export function refuseExternalData(bytes: Uint8Array): void {
  scan(bytes, 0, bytes.length, "model", 0);
}

function scan(bytes: Uint8Array, start: number, end: number, name: MessageName, depth: number): void {
  if (name === "external") throw externalData();
  if (depth > MAX_DEPTH) throw corruptModel("the ONNX data nests too deep");
  const children: ReadonlyMap<number, string> = CHILDREN[name];
  let pos = start;

  function varint(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 63; scale *= 128) {
      if (pos >= end) throw corruptModel("the ONNX data ends early");
      const byte = bytes[pos++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw corruptModel("the ONNX data holds a number that is too long");
  }

  while (pos < end) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    switch (tag % 8) {
      case 0: {
        const value = varint();
        if (name === "tensor" && field === DATA_LOCATION_FIELD && value === EXTERNAL) throw externalData();
        break;
      }
      case 1:
        pos += 8;
        break;
      case 2: {
        const length = varint();
        if (length > end - pos) throw corruptModel("the ONNX data ends early");
        const child = children.get(field);
        if (child !== undefined) scan(bytes, pos, pos + length, child as MessageName, depth + 1);
        pos += length;
        break;
      }
      case 5:
        pos += 4;
        break;
      default:
        throw corruptModel("the file is no ONNX protobuf message");
    }
    if (pos > end) throw corruptModel("the ONNX data ends early");
  }
}

function externalData(): Error {
  return modelError(
    "MODEL_UNSUPPORTED",
    "The ONNX model keeps tensors in another file, which is not followed. Save it as one file: onnx.save_model(model, path, save_as_external_data=False).",
  );
}
