"""Trains random LightGBM models and writes each with rows and LightGBM's own predictions for them.

Usage: lightgbm_parity.py OUT_DIR COUNT SEED [--small]

OUT_DIR gets `manifest.json` and, per model, the model file and three float64 files in little endian, row after row:
`.rows` (features, NaN where missing), `.margins` and `.outputs`. `--small` makes the tiny models of
test/api/models/fixtures, whose values then are texts in the manifest. Works with LightGBM 2.3 to 4.x.
"""

import json
import sys
from pathlib import Path

import lightgbm as lgb
import numpy as np

VERSION = tuple(int(part) for part in lgb.__version__.split(".")[:2])
OBJECTIVES = [
    "binary", "regression", "multiclass", "multiclassova", "regression_l1", "huber", "fair", "poisson", "gamma",
    "tweedie", "quantile", "mape", "cross_entropy", "cross_entropy_lambda", "lambdarank", "none",
] + (["rank_xendcg"] if VERSION >= (3, 0) else [])
BOOSTINGS = ["gbdt", "gbdt", "gbdt", "dart", "rf", "gbdt", "goss"]
TINY = float(np.float32(1e-35))


def labels_for(objective, signal, classes, rng):
    if objective == "binary":
        return (signal + rng.normal(size=len(signal)) * 0.5 > 0.3).astype(float)
    if objective.startswith("multiclass"):
        return np.clip(np.digitize(signal, np.linspace(-1.5, 1.5, classes - 1)), 0, classes - 1)
    if objective == "poisson":
        return rng.poisson(np.exp(np.clip(signal, -3, 3)))
    if objective in ("gamma", "mape"):
        return np.exp(np.clip(signal, -3, 3)) + 0.01
    if objective == "tweedie":
        return np.maximum(signal, 0)
    if objective in ("cross_entropy", "cross_entropy_lambda"):
        return 1 / (1 + np.exp(-signal))
    if objective in ("lambdarank", "rank_xendcg"):
        return np.clip(np.round(signal + 1), 0, 4)
    return signal


def make_features(n, features, categorical, missing, zeros, rng):
    x = rng.normal(size=(n, features)) * 10.0 ** rng.integers(-3, 6, features)
    for f in range(0, features, 3):
        x[:, f] = np.round(rng.normal(size=n) * 2)
    for f, size in categorical.items():
        x[:, f] = rng.integers(0, size, n)
    numeric = [f for f in range(features) if f not in categorical]
    for f in numeric:
        x[rng.random(n) < zeros, f] = 0
    x[rng.random(x.shape) < missing] = np.nan
    return x


def thresholds_of(booster, categorical):
    pairs = []

    def visit(node):
        if "split_feature" not in node:
            return
        if node["decision_type"] == "<=":
            pairs.append((node["split_feature"], float(node["threshold"])))
        visit(node["left_child"])
        visit(node["right_child"])

    for tree in booster.dump_model()["tree_info"]:
        visit(tree["tree_structure"])
    return pairs


def probe_rows(x, pairs, categorical, count, rng):
    """Rows like the training data, at and beside thresholds, with missing, infinite, tiny and unknown values."""
    rows = x[rng.integers(0, len(x), count)].copy()
    features = rows.shape[1]
    specials = [0.0, -0.0, 5e-324, -5e-324, TINY, -TINY, np.nextafter(TINY, 1), -np.nextafter(TINY, 1), 1e-36, 1.7e308,
                -1.7e308, np.inf, -np.inf, np.nan]
    for row in rows:
        for _ in range(rng.integers(0, features + 1)):
            if pairs and rng.random() < 0.7:
                f, threshold = pairs[rng.integers(0, len(pairs))]
                step = rng.integers(0, 3)
                row[f] = threshold if step == 0 else np.nextafter(threshold, np.inf if step == 1 else -np.inf)
            else:
                row[rng.integers(0, features)] = specials[rng.integers(0, len(specials))]
        for f, size in categorical.items():
            pick = rng.random()
            if pick < 0.15:
                row[f] = size + rng.integers(0, 100)
            elif pick < 0.25:
                row[f] = [-1, -0.5, 0.5, 2.0**31, 2.0**31 - 1, 1e10, -1e10, np.inf, -np.inf][rng.integers(0, 9)]
            elif pick < 0.35:
                row[f] = np.nan
    rows[0] = np.nan
    rows[1] = 0
    return rows


def train(index, rng, small):
    objective = OBJECTIVES[index % len(OBJECTIVES)]
    n = 150 if small else int(rng.integers(200, 1500))
    features = int(rng.integers(2, 5 if small else 25))
    categorical = {}
    if index % 3 == 0:
        categorical = {f: int(rng.choice([2, 5, 33, 70])) for f in range(features) if rng.random() < 0.4 or f == 0}
    classes = int(rng.integers(3, 7))
    x = make_features(n, features, categorical, [0, 0.1, 0.5][int(rng.integers(0, 3))], float(rng.choice([0, 0.3])), rng)
    scaled = np.nan_to_num(x, nan=0.3)
    scaled = scaled / (np.abs(scaled).max(axis=0) + 1e-9)
    signal = scaled @ rng.normal(size=features) * 2 + np.sin(scaled[:, 0] * 5)
    y = labels_for(objective, signal, classes, rng)
    boosting = BOOSTINGS[int(rng.integers(0, len(BOOSTINGS)))]
    params = {
        "objective": objective, "boosting": boosting, "num_threads": 1, "seed": index, "verbose": -1,
        "learning_rate": float(rng.choice([0.05, 0.3, 1.0])), "num_leaves": int(rng.integers(2, 6 if small else 90)),
        "min_data_in_leaf": int(rng.integers(1, 20)), "lambda_l2": float(rng.choice([0, 1])),
        "use_missing": bool(rng.random() < 0.85), "zero_as_missing": bool(rng.random() < 0.3),
        "min_data_per_group": int(rng.choice([1, 20])), "cat_smooth": float(rng.choice([1, 10])),
        "max_cat_to_onehot": int(rng.choice([1, 4, 40])), "min_data_in_bin": 1,
        "max_bin": int(rng.choice([15, 63, 255, 1023])), "boost_from_average": bool(rng.random() < 0.7),
    }
    if boosting == "rf" or (boosting != "goss" and rng.random() < 0.3):
        params.update(bagging_freq=1, bagging_fraction=0.7, feature_fraction=0.8)
    if objective.startswith("multiclass"):
        params["num_class"] = classes
    if objective in ("binary", "multiclassova"):
        params["sigmoid"] = float(rng.choice([1, 0.3, 2.5]))
    if objective in ("regression", "regression_l1", "huber", "fair", "quantile") and rng.random() < 0.4:
        params["reg_sqrt"] = True
    group = None
    if objective in ("lambdarank", "rank_xendcg"):
        group = [n // 2, n - n // 2]
    fobj = None
    if objective == "none":
        def fobj(preds, data):
            return preds - y, np.ones_like(preds)
        if VERSION >= (4, 0):
            params["objective"] = fobj
        if boosting == "rf":
            params["boosting"] = "gbdt"
    data = lgb.Dataset(x, y, group=group, categorical_feature=sorted(categorical) or "auto",
                       feature_name=[f"f_{f}" for f in range(features)], free_raw_data=False)
    rounds = int(rng.integers(2, 4)) if small else int(rng.integers(1, 60))
    kwargs = {"fobj": fobj} if fobj is not None and VERSION < (4, 0) else {}
    return lgb.train(params, data, rounds, **kwargs), {**params, "objective": objective}, x, categorical


def main():
    out = Path(sys.argv[1])
    count, seed, small = int(sys.argv[2]), int(sys.argv[3]), "--small" in sys.argv
    out.mkdir(parents=True, exist_ok=True)
    entries = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        try:
            trained, params, x, categorical = train(index, rng, small)
        except lgb.basic.LightGBMError as error:  # a combination that this version does not train
            print(index, error)
            continue
        file = f"model-{index}.txt"
        trained.save_model(str(out / file))
        booster = lgb.Booster(model_file=str(out / file))
        rows = probe_rows(x, thresholds_of(booster, categorical), categorical, 8 if small else 250, rng)
        options = {"num_threads": 1} if VERSION >= (3, 0) else {}
        arrays = {"rows": rows, "margins": booster.predict(rows, raw_score=True, **options),
                  "outputs": booster.predict(rows, **options)}
        entries.append({"library": "lightgbm", "file": file, "version": lgb.__version__, "rows": len(rows),
                        "features": rows.shape[1], "objective": params["objective"], "booster": params["boosting"],
                        "missing": "none" if not params["use_missing"] else "zero" if params["zero_as_missing"] else "nan",
                        "categorical": len(categorical), "trees": booster.num_trees()})
        for name, array in arrays.items():
            array = np.ascontiguousarray(array, dtype="<f8")
            if small:
                entries[-1][name] = [repr(float(v)) for v in array.reshape(-1)]
            else:
                array.tofile(out / f"{file}.{name}")
    (out / "manifest.json").write_text(json.dumps(entries, indent=None if not small else 0))


main()
