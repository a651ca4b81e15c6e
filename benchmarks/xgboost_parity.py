"""Trains random XGBoost models and writes each with rows and XGBoost's own predictions for them.

Usage: xgboost_parity.py OUT_DIR COUNT SEED [--small]

OUT_DIR gets `manifest.json` and, per model, the model file and three float32 files in little endian, row after row:
`.rows` (features, NaN where missing), `.margins` and `.outputs`; where early stopping recorded a best iteration also
`.best`, the margins up to it. `--small` makes the tiny models of test/api/models/fixtures (COUNT 14, SEED 3 with 3.2;
COUNT 3, SEED 5 with 2.1 and 1.7), whose values then are texts in the manifest.
Works with XGBoost 1.7 to 3.x; what an older version lacks is left out.
"""

import json
import sys
from pathlib import Path

import numpy as np
import xgboost as xgb

VERSION = tuple(int(part) for part in xgb.__version__.split(".")[:2])
OBJECTIVES = [
    "binary:logistic", "reg:squarederror", "multi:softprob", "reg:logistic", "binary:logitraw", "count:poisson",
    "reg:gamma", "reg:tweedie", "multi:softmax", "rank:pairwise", "rank:ndcg", "reg:absoluteerror",
    "reg:pseudohubererror", "reg:squaredlogerror", "binary:hinge", "survival:aft", "survival:cox", "rank:map",
] + (["reg:quantileerror"] if VERSION >= (2, 0) else [])
BASE_SCORES = {
    "binary:logistic": [0.5, 0.2, 0.937, 1e-4], "reg:logistic": [0.5, 0.11], "count:poisson": [0.5, 3.7],
    "reg:gamma": [1.5, 0.01], "reg:tweedie": [0.5, 2.25], "reg:squarederror": [0.5, -123.456, 1e6],
    "multi:softprob": [0.5, 0.1], "survival:aft": [0.5, 2.0], "survival:cox": [0.5],
}


def labels_for(objective, signal, classes, rng):
    n = len(signal)
    if objective in ("binary:logistic", "binary:logitraw", "binary:hinge", "rank:map"):
        return (signal + rng.normal(size=n) * 0.5 > 0.3).astype(np.float32)
    if objective == "reg:logistic":
        return 1 / (1 + np.exp(-signal))
    if objective.startswith("multi:"):
        return np.clip(np.digitize(signal, np.linspace(-1.5, 1.5, classes - 1)), 0, classes - 1)
    if objective == "count:poisson":
        return rng.poisson(np.exp(np.clip(signal, -3, 3)))
    if objective in ("reg:gamma", "survival:aft"):
        return np.exp(np.clip(signal, -3, 3)) + 0.01
    if objective == "reg:tweedie":
        return np.maximum(signal, 0)
    if objective == "reg:squaredlogerror":
        return np.exp(np.clip(signal, -3, 3))
    if objective == "survival:cox":
        return np.exp(np.clip(signal, -3, 3)) * rng.choice([-1, 1], n)
    if objective.startswith("rank:"):
        return np.clip(np.round(signal + 1), 0, 4)
    return signal


def make_features(n, features, categorical, missing, rng):
    x = rng.normal(size=(n, features)).astype(np.float32)
    for f in range(0, features, 3):
        x[:, f] = np.round(x[:, f] * 2)  # repeated values, so that rows meet thresholds exactly
    for f, size in categorical.items():
        x[:, f] = rng.integers(0, size, n)
    x[rng.random(x.shape) < missing] = np.nan
    return x


def thresholds_of(model_json, categorical):
    booster = model_json["learner"]["gradient_booster"]
    trees = booster.get("gbtree", booster)["model"]["trees"]
    pairs = []
    for tree in trees:
        for left, feature, condition in zip(tree["left_children"], tree["split_indices"], tree["split_conditions"]):
            if left != -1 and feature not in categorical:
                pairs.append((feature, np.float32(condition)))
    return pairs


def probe_rows(x, pairs, categorical, count, rng):
    """Rows like the training data, at and beside thresholds, with missing, huge, tiny and unknown values."""
    rows = x[rng.integers(0, len(x), count)].copy()
    features = rows.shape[1]
    specials = np.array([0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, np.nan, 16777216.0], dtype=np.float32)
    for row in rows:
        for _ in range(rng.integers(0, features + 1)):
            if pairs and rng.random() < 0.8:
                f, threshold = pairs[rng.integers(0, len(pairs))]
                step = rng.integers(0, 3)
                row[f] = threshold if step == 0 else np.nextafter(
                    threshold, np.float32(np.inf if step == 1 else -np.inf), dtype=np.float32)
            else:
                row[rng.integers(0, features)] = specials[rng.integers(0, len(specials))]
        for f, size in categorical.items():
            pick = rng.random()
            if pick < 0.15:
                row[f] = size + rng.integers(0, 100)
            elif pick < 0.2:
                row[f] = -1
            elif pick < 0.3:
                row[f] = np.nan
    rows[0] = np.nan
    rows[1] = 0
    return rows


def train(index, rng, small):
    objective = OBJECTIVES[index % len(OBJECTIVES)]
    n = 120 if small else int(rng.integers(150, 900))
    features = int(rng.integers(2, 5 if small else 25))
    method = ["hist", "approx", "exact"][int(rng.integers(0, 3))]
    categorical = {}
    if index % 3 == 0 and method != "exact":
        categorical = {f: int(rng.choice([2, 5, 33, 70])) for f in range(features) if rng.random() < 0.4 or f == 0}
    classes = int(rng.integers(3, 7))
    x = make_features(n, features, categorical, [0, 0.1, 0.5][int(rng.integers(0, 3))], rng)
    filled = np.nan_to_num(x, nan=0.3)
    signal = filled @ rng.normal(size=features) / np.sqrt(features) + np.sin(filled[:, 0])
    y = labels_for(objective, signal, classes, rng)
    params = {
        "objective": objective, "tree_method": method, "nthread": 1, "seed": index,
        "eta": float(rng.choice([0.05, 0.3, 1.0])), "max_depth": int(rng.integers(1, 4 if small else 11)),
        "lambda": float(rng.choice([0, 1])), "subsample": float(rng.choice([0.6, 1.0])),
    }
    if method != "exact" and rng.random() < 0.25:
        params.update(grow_policy="lossguide", max_leaves=int(rng.integers(3, 60)), max_depth=0)
    if categorical and rng.random() < 0.7:
        params["max_cat_to_onehot"] = int(rng.choice([1, 4, 100]))
    if objective.startswith("multi:"):
        params["num_class"] = classes
    if index % 4 == 1:
        params.update(booster="dart", rate_drop=0.4, one_drop=1, normalize_type=str(rng.choice(["tree", "forest"])))
    if rng.random() < 0.2:
        params["num_parallel_tree"] = int(rng.integers(2, 4))
    if rng.random() < 0.5 and objective in BASE_SCORES:
        params["base_score"] = float(rng.choice(BASE_SCORES[objective]))
    if objective == "reg:tweedie":
        params["tweedie_variance_power"] = 1.3
    if objective == "reg:quantileerror":
        params["quantile_alpha"] = [[0.5], [0.1, 0.5, 0.9]][int(rng.integers(0, 2))]
    if objective == "reg:squarederror" and VERSION >= (2, 0) and rng.random() < 0.3:
        y = np.stack([y, -y * 2 + 1], axis=1)
    types = ["c" if f in categorical else "q" for f in range(features)]
    names = [f"f_{f}" for f in range(features)] if rng.random() < 0.7 else None

    def matrix(rows, label=None):
        data = xgb.DMatrix(rows, missing=np.nan, feature_types=types, feature_names=names, enable_categorical=True)
        if label is not None:
            if objective == "survival:aft":
                data.set_float_info("label_lower_bound", label)
                data.set_float_info("label_upper_bound", label * 1.5)
            else:
                data.set_label(label)
            if objective.startswith("rank:"):
                data.set_group([len(rows) // 2, len(rows) - len(rows) // 2])
        return data

    rounds = int(rng.integers(2, 5)) if small else int(rng.integers(1, 60))
    stopping = {}
    training = matrix(x, y)
    if not small and index % 5 == 2 and not objective.startswith(("rank:", "survival:")) and y.ndim == 1:
        stopping = {"early_stopping_rounds": 3, "evals": [(matrix(x[: n // 3], y[: n // 3][::-1].copy()), "valid")],
                    "verbose_eval": False}
    return xgb.train(params, training, rounds, **stopping), params, x, categorical, matrix


def main():
    out = Path(sys.argv[1])
    count, seed, small = int(sys.argv[2]), int(sys.argv[3]), "--small" in sys.argv
    out.mkdir(parents=True, exist_ok=True)
    entries = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        try:
            booster, params, x, categorical, matrix = train(index, rng, small)
        except xgb.core.XGBoostError as error:  # a combination that this version does not train
            print(index, str(error).splitlines()[0])
            continue
        file = f"model-{index}.{['json', 'ubj'][(index // 2) % 2]}"
        booster.save_model(out / file)
        raw = json.loads(bytes(booster.save_raw("json")))
        rows = probe_rows(x, thresholds_of(raw, categorical), categorical, 8 if small else 250, rng)
        data = matrix(rows)
        margins = booster.predict(data, output_margin=True)
        outputs = booster.predict(data)
        if params.get("booster") != "dart":
            # A DMatrix refuses infinities, inplace_predict takes them.
            extra = rows[: 4 if small else 60].copy()
            numeric = [f for f in range(rows.shape[1]) if f not in categorical]
            for row in extra:
                for f in numeric:
                    if rng.random() < 0.3:
                        row[f] = rng.choice([np.inf, -np.inf])
            kwargs = {"missing": np.nan, "validate_features": False}
            margins = np.concatenate([margins, booster.inplace_predict(extra, predict_type="margin", **kwargs)])
            outputs = np.concatenate([outputs, booster.inplace_predict(extra, **kwargs)])
            rows = np.concatenate([rows, extra])
        best = booster.attr("best_iteration")
        entry = {"file": file, "version": xgb.__version__, "rows": len(rows), "features": rows.shape[1],
                 "objective": params["objective"], "booster": params.get("booster", "gbtree"),
                 "categorical": len(categorical), "trees": len(booster.get_dump())}
        arrays = {"rows": rows, "margins": margins, "outputs": outputs}
        if best is not None:
            entry["best_iteration"] = int(best)
            arrays["best"] = booster.predict(data, output_margin=True, iteration_range=(0, int(best) + 1))
        for name, array in arrays.items():
            array = np.ascontiguousarray(array, dtype="<f4")
            if small:
                entry[name] = [str(v) for v in array.reshape(-1)]  # shortest text of a float32
            else:
                array.tofile(out / f"{file}.{name}")
        entries.append(entry)
    (out / "manifest.json").write_text(json.dumps(entries, indent=None if not small else 0))


main()
