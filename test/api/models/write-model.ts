import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface WrittenModel {
  /** What the model answers for every row: one number, or one per class. */
  readonly answer: number | readonly number[];
  /** What it answers where its first input is 0 or more. Default: the same. */
  readonly above?: number;
  /** Its inputs, in order. */
  readonly features: readonly string[];
  /** MLflow types of the inputs. Default: all double. */
  readonly types?: Readonly<Record<string, string>>;
  readonly millrace?: unknown;
  /** The input example, as MLflow saves data frames. */
  readonly example?: { readonly columns: readonly string[]; readonly data: readonly (readonly unknown[])[] };
  /** Whole trees of this depth that add nothing: for a model of real size. Only with one answer. */
  readonly ballast?: { readonly trees: number; readonly depth: number };
  /** Bytes of the model's file instead of a sound model. */
  readonly bytes?: string;
}

/** The files of an XGBoost model with constant answers, as MLflow would save them. The numbers must be exact in float32. */
export function modelFiles(model: WrittenModel): Record<string, string> {
  const inputs = model.features.map((name) => ({ type: model.types?.[name] ?? "double", name, required: true }));
  return {
    "model.json": model.bytes ?? JSON.stringify(boosterOf(model)),
    ...(model.millrace === undefined ? {} : { "millrace.json": JSON.stringify(model.millrace) }),
    ...(model.example === undefined ? {} : { "input_example.json": JSON.stringify(model.example) }),
    MLmodel: [
      "flavors:",
      "  xgboost:",
      "    data: model.json",
      "    model_class: xgboost.core.Booster",
      "signature:",
      `  inputs: '${JSON.stringify(inputs)}'`,
      "  outputs: null",
      ...(model.example === undefined
        ? []
        : ["saved_input_example_info:", "  artifact_path: input_example.json", "  type: dataframe"]),
      "",
    ].join("\n"),
  };
}

/** Saves the files of {@link modelFiles}. */
export async function writeModel(folder: string, model: WrittenModel): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries(modelFiles(model))) await writeFile(join(folder, name), text);
}

function boosterOf({ answer, above, features, ballast = { trees: 0, depth: 1 } }: WrittenModel): object {
  const answers = typeof answer === "number" ? [answer] : answer;
  return {
    version: [3, 2, 0],
    learner: {
      attributes: {},
      feature_names: features,
      feature_types: features.map(() => "float"),
      learner_model_param: {
        base_score: "0E0",
        num_class: "0",
        num_feature: String(features.length),
        num_target: String(answers.length),
      },
      objective: { name: "reg:squarederror" },
      gradient_booster: {
        name: "gbtree",
        model: {
          gbtree_model_param: { num_parallel_tree: "1", num_trees: String(answers.length + ballast.trees) },
          iteration_indptr: [0, answers.length + ballast.trees],
          tree_info: [...answers.map((_, output) => output), ...new Array<number>(ballast.trees).fill(0)],
          trees: [
            ...answers.map((one, id) => stump(one, above ?? one, id)),
            ...Array.from({ length: ballast.trees }, (_, i) =>
              idleTree(ballast.depth, features.length, answers.length + i),
            ),
          ],
        },
      },
    },
  };
}

/** One split of the first input at 0. */
function stump(answer: number, above: number, id: number): object {
  return {
    id,
    base_weights: [0, answer, above],
    categories: [],
    categories_nodes: [],
    categories_segments: [],
    categories_sizes: [],
    default_left: [0, 0, 0],
    left_children: [1, -1, -1],
    right_children: [2, -1, -1],
    loss_changes: [1, 0, 0],
    parents: [2_147_483_647, 0, 0],
    split_conditions: [0, answer, above],
    split_indices: [0, 0, 0],
    split_type: [0, 0, 0],
    sum_hessian: [2, 1, 1],
    tree_param: { num_deleted: "0", num_feature: "1", num_nodes: "3", size_leaf_vector: "1" },
  };
}

/** A whole tree whose leaves are all 0. */
function idleTree(depth: number, features: number, id: number): object {
  const nodes = 2 ** (depth + 1) - 1;
  const inner = 2 ** depth - 1;
  const all = <T>(of: (node: number) => T): T[] => Array.from({ length: nodes }, (_, node) => of(node));
  return {
    id,
    base_weights: all(() => 0),
    categories: [],
    categories_nodes: [],
    categories_segments: [],
    categories_sizes: [],
    default_left: all(() => 0),
    left_children: all((node) => (node < inner ? 2 * node + 1 : -1)),
    right_children: all((node) => (node < inner ? 2 * node + 2 : -1)),
    loss_changes: all(() => 0),
    parents: all((node) => (node === 0 ? 2_147_483_647 : (node - 1) >> 1)),
    split_conditions: all((node) => (node < inner ? ((node * 37 + id) % 1_000) / 8 : 0)),
    split_indices: all((node) => (node < inner ? (node + id) % features : 0)),
    split_type: all(() => 0),
    sum_hessian: all(() => 1),
    tree_param: { num_deleted: "0", num_feature: String(features), num_nodes: String(nodes), size_leaf_vector: "1" },
  };
}
