"""Fits and applies scikit-learn's transformers to the cases of a JSON file, one object per line, in order.

Usage: scikit_learn_parity.py CASES ANSWERS

A case is {transform, parameters, fit, apply, labels?}; null is a missing value. An answer is {state, rows, training?},
where the state has the form of millrace.json, or {error}, the text with which scikit-learn refuses. A power transform's
parameters hold the λ to compare with; its answer says how much log-likelihood that loses against scikit-learn's.
"""

import json
import sys
import warnings

import numpy as np
from scipy import stats
from sklearn.feature_extraction import FeatureHasher
from sklearn.impute import SimpleImputer
from sklearn.model_selection import PredefinedSplit
from sklearn.preprocessing import (
    KBinsDiscretizer, MaxAbsScaler, MinMaxScaler, OneHotEncoder, OrdinalEncoder, PowerTransformer, QuantileTransformer,
    RobustScaler, StandardScaler, TargetEncoder,
)

warnings.filterwarnings("ignore")
np.seterr(all="ignore")


def numbers(values):
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64).reshape(-1, 1)


def texts(values):
    return np.array(values, dtype=object).reshape(-1, 1)


def texts_or_nan(values):
    """OrdinalEncoder takes NaN alone as missing, None as a category."""
    return texts([np.nan if v is None else v for v in values])


def standardize(p, fit, apply, _):
    s = StandardScaler().fit(numbers(fit))
    return {"kind": "standardize", "mean": s.mean_[0], "stddev": s.scale_[0]}, s.transform(numbers(apply))


def impute(p, fit, apply, _):
    s = SimpleImputer(strategy=p["strategy"], keep_empty_features=True).fit(numbers(fit))
    return {"kind": "impute", "value": s.statistics_[0]}, s.transform(numbers(apply))


def impute_text(p, fit, apply, _):
    s = SimpleImputer(strategy="most_frequent", missing_values=None).fit(texts(fit))
    return {"kind": "impute_text", "value": s.statistics_[0]}, s.transform(texts(apply))


def min_max(p, fit, apply, _):
    s = MinMaxScaler(feature_range=(p["low"], p["high"]), clip=p["clip"]).fit(numbers(fit))
    return {"kind": "min_max", "min": s.data_min_[0], "max": s.data_max_[0]}, s.transform(numbers(apply))


def max_abs(p, fit, apply, _):
    s = MaxAbsScaler(clip=p["clip"]).fit(numbers(fit))
    return {"kind": "max_abs", "max_abs": s.max_abs_[0]}, s.transform(numbers(apply))


def robust(p, fit, apply, _):
    s = RobustScaler(quantile_range=(p["low"], p["high"]), with_centering=p["center"], with_scaling=p["scale"],
                     unit_variance=p["unit_variance"]).fit(numbers(fit))
    center = s.center_[0] if p["center"] else 0.0
    scale = s.scale_[0] if p["scale"] else 1.0
    return {"kind": "robust", "center": center, "scale": scale}, s.transform(numbers(apply))


def quantile(p, fit, apply, _):
    s = QuantileTransformer(n_quantiles=p["quantiles"], output_distribution=p["output"], subsample=None)
    s.fit(numbers(fit))
    return {"kind": "quantile", "quantiles": s.quantiles_[:, 0]}, s.transform(numbers(apply))


def power(p, fit, apply, _):
    s = PowerTransformer(method=p["method"].replace("_", "-"), standardize=p["standardize"]).fit(numbers(fit))
    mean, stddev = (s._scaler.mean_[0], s._scaler.scale_[0]) if p["standardize"] else (0.0, 1.0)
    state = {"kind": "power", "lambda": s.lambdas_[0], "mean": mean, "stddev": stddev}
    x = numbers(fit)[:, 0]
    x = x[~np.isnan(x)]
    likelihood = stats.boxcox_llf if p["method"] == "box_cox" else stats.yeojohnson_llf
    loss = None if p["lambda"] is None else likelihood(s.lambdas_[0], x) - likelihood(p["lambda"], x)
    return state, s.transform(numbers(apply)), None, loss


def k_bins(p, fit, apply, _):
    s = KBinsDiscretizer(n_bins=p["bins"], strategy=p["strategy"], quantile_method=p["quantile_method"],
                         encode="ordinal", subsample=None).fit(numbers(fit))
    rows = s.transform(numbers(apply))
    if p["encode"] == "one_hot":
        hot = KBinsDiscretizer(n_bins=p["bins"], strategy=p["strategy"], quantile_method=p["quantile_method"],
                               encode="onehot-dense", subsample=None).fit(numbers(fit)).transform(numbers(apply))
        rows = np.zeros((len(apply), p["bins"]))
        rows[:, : hot.shape[1]] = hot
    return {"kind": "k_bins", "edges": s.bin_edges_[0][1:-1]}, rows


def grouped(s, nulls):
    infrequent = s.infrequent_categories_[0] if hasattr(s, "infrequent_categories_") else None
    rare = [] if infrequent is None else list(infrequent)
    known = [c for c in s.categories_[0] if c not in rare]
    if not nulls:
        known = [c for c in known if isinstance(c, str)]
    return {"kind": "ordinal", "categories": known, **({} if infrequent is None else {"infrequent": rare})}


def one_hot(p, fit, apply, _):
    s = OneHotEncoder(categories=[p["categories"]], handle_unknown=p["unknown"], sparse_output=False).fit(texts(fit))
    return None, s.transform(texts(apply))


def one_hot_fitted(p, fit, apply, _):
    s = OneHotEncoder(min_frequency=p["min_frequency"], max_categories=p["max_categories"],
                      handle_unknown={"infrequent": "infrequent_if_exist"}.get(p["unknown"], p["unknown"]),
                      sparse_output=False).fit(texts(fit))
    hot = s.transform(texts(apply))
    rows = np.zeros((len(apply), p["max_categories"]))
    rows[:, : hot.shape[1]] = hot
    return grouped(s, True), rows


def ordinal(p, fit, apply, _):
    unknown = p["unknown"]
    encoder = OrdinalEncoder(
        categories="auto" if p["categories"] is None else [p["categories"]],
        handle_unknown="error" if unknown == "error" else "use_encoded_value",
        unknown_value=None if unknown == "error" else np.nan if unknown is None else unknown,
        encoded_missing_value=np.nan if p["nulls"] is None else p["nulls"],
        min_frequency=p["min_frequency"], max_categories=p["max_categories"])
    s = encoder.fit(texts_or_nan(fit))
    return grouped(s, False), s.transform(texts_or_nan(apply))


def target(p, fit, apply, labels):
    kind = p["type"]
    y = np.array(labels, dtype=object if kind == "multiclass" else np.float64 if kind == "continuous" else np.int64)
    if kind == "multiclass":
        y = y.astype(str)
    folds = PredefinedSplit([row % p["folds"] for row in range(len(fit))])
    s = TargetEncoder(smooth=p["smooth"], target_type=kind, cv=folds)
    try:
        training = s.fit_transform(texts(fit), y)
    except ValueError:
        training = None
    s.fit(texts(fit), y)
    categories = list(s.categories_[0])
    state = {"kind": "target", "categories": categories, "encodings": [list(e) for e in s.encodings_],
             "means": list(np.atleast_1d(s.target_mean_))}
    return state, s.transform(texts(apply)), training


def hash_columns(p, fit, apply, _):
    s = FeatureHasher(n_features=p["buckets"], input_type="string", alternate_sign=p["signed"])
    return None, s.transform([[v] for v in apply]).toarray()


def plain(value):
    if isinstance(value, np.ndarray):
        return [plain(v) for v in value.tolist()]
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {name: plain(v) for name, v in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


with open(sys.argv[1], encoding="utf-8") as cases, open(sys.argv[2], "w", encoding="utf-8") as answers:
    for line in cases:
        case = json.loads(line)
        try:
            result = globals()[case["transform"]](case["parameters"], case["fit"], case["apply"], case.get("labels"))
            answer = {"state": plain(result[0]), "rows": plain(result[1])}
            if len(result) > 2:
                answer["training"] = plain(result[2])
            if len(result) > 3:
                answer["likelihood_lost"] = plain(result[3])
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer, allow_nan=False) + "\n")
