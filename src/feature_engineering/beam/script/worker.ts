import "./text-decoder.ts";
import protobuf from "protobufjs";
import type { RowFunction } from "../../../definitions/expression.ts";
import type { FitScript } from "./fit-script.ts";
import { isFitting, openFitting, open as openScript, type WorkerScript } from "./main.ts";

/** The bundle's one export: {@link openScript}, or {@link openFitting}, with all that decoding takes. */
export function open(
  planText: string,
  settingsText: string,
  functions: Readonly<Record<string, RowFunction>>,
): WorkerScript | FitScript {
  const open = isFitting(settingsText) ? openFitting : openScript;
  return open(planText, settingsText, functions, protobuf);
}
