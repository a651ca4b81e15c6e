import { utf8Text } from "./utf8-text.ts";

/** What protobufjs needs of the platform's `TextDecoder`, which V8 alone does not have: UTF-8 without a byte order mark. */
function TextDecoder(this: object, _label?: string, options: { readonly fatal?: boolean } = {}): object {
  const invalid = options.fatal === true ? "refuse" : "replace";
  return Object.assign(this, { decode: (bytes: Uint8Array) => utf8Text(bytes, 0, bytes.length, invalid) });
}

Object.assign(globalThis, { TextDecoder });
