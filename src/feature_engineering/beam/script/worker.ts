import "./text-decoder.ts";
import protobuf from "protobufjs";
import type { RowFunction } from "../../../definitions/expression.ts";
import { open as openScript, type WorkerScript } from "./main.ts";

/** The bundle's one export: {@link openScript} with all that decoding takes. */
export function open(
  planText: string,
  settingsText: string,
  functions: Readonly<Record<string, RowFunction>>,
): WorkerScript {
  return openScript(planText, settingsText, functions, protobuf);
}
