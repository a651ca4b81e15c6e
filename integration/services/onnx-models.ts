import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pythonEnvironment } from "./python-environment.ts";

/** What skl2onnx and onnxmltools are run with. */
const REQUIREMENTS = [
  "scikit-learn==1.7.2",
  "skl2onnx==1.20.0",
  "onnxmltools==1.16.0",
  "onnx==1.20.0",
  "onnxruntime==1.23.2",
  "xgboost==3.1.2",
  "pandas==2.3.3",
];

/** Folders of ONNX models, each with `expected.json`: rows, and what ONNX Runtime in Python answers. */
export interface OnnxModels {
  readonly folder: string;
  remove(): void;
}

/** `largeTrees`: also a model `large`, a forest of so many trees, about 0.2 MB each. */
export function onnxModels(largeTrees: number): OnnxModels {
  const folder = mkdtempSync(join(tmpdir(), "millrace-onnx-"));
  const script = fileURLToPath(new URL("../onnx/make_models.py", import.meta.url));
  const python = join(pythonEnvironment(REQUIREMENTS), "python");
  execFileSync(python, [script, folder, "large", String(largeTrees)], { stdio: ["ignore", "ignore", "pipe"] });
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
