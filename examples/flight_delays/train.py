"""Trains the flight delay model on a training set made by Millrace.

    npx node examples/flight_delays/training-set.ts out
    python examples/flight_delays/train.py out/training-set.parquet out/millrace.json

Reads the training set (feature columns, keys, `event_timestamp`, a label of true and false) and the `millrace.json`
that came with it, trains XGBoost, prints the areas under the ROC curve, and writes a folder in MLflow's model format
with `millrace.json` inside, by which the server knows the feature service and the fitted transforms. No MLflow server
is needed. The same training set gives the same trees.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import mlflow.xgboost
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import xgboost
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, DataType, Schema
from sklearn.metrics import roc_auc_score

HERE = Path(__file__).parent
TIME = "event_timestamp"
ROUNDS = 300
PARAMETERS = {
    "objective": "binary:logistic",
    "eval_metric": "auc",
    "tree_method": "hist",
    "max_depth": 6,
    "learning_rate": 0.05,
    "min_child_weight": 20,
    "reg_lambda": 5,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
    "seed": 7,
    # One thread adds in one order, so that the trees are the same every time.
    "nthread": 1,
}


class UserError(Exception):
    """Something that the user can fix; the message says how."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("training_set", type=Path, help="Parquet file made by `millrace training-set`")
    parser.add_argument("millrace", type=Path, nargs="?", help="default: millrace.json beside the training set")
    parser.add_argument("--label", default="late", help="label column of true and false (default: late)")
    parser.add_argument("--features", help="comma-separated: use these features only")
    parser.add_argument("--out", type=Path, help="model folder to write (default: model/<next> beside this file)")
    parser.add_argument("--holdout-days", type=int, default=6, help="last days to validate and stop on (default: 6)")
    parser.add_argument("--test", type=Path, help="a later training set, to print the area on rows never looked at")
    return parser.parse_args()


def feature_names(chosen: str | None, description: dict, columns: list[str], label: str) -> list[str]:
    """The chosen features; else those listed in millrace.json; else all columns but keys, label and time."""
    known = description.get("features")
    if known is None:
        keys = description.get("keys", [])
        known = [column for column in columns if column not in {label, TIME, *keys}]
    else:
        known = [feature if isinstance(feature, str) else feature["name"] for feature in known]
    names = known if chosen is None else [name.strip() for name in chosen.split(",") if name.strip()]
    unknown = [name for name in names if name not in known or name not in columns]
    if unknown:
        raise UserError(f"No such feature in the training set: {', '.join(unknown)}. There are: {', '.join(known)}.")
    if not names:
        raise UserError("There is no feature to train on: name some with --features, or list them in millrace.json.")
    return names


def read(path: Path, names: list[str], label: str) -> pd.DataFrame:
    """Features as float64 (null is NaN), the label as 0 and 1, in order of time; rows without a label are left out."""
    table = parquet.read_table(path)
    missing = [name for name in [*names, label, TIME] if name not in table.column_names]
    if missing:
        raise UserError(f"{path} lacks the columns {', '.join(missing)}; make it again with `millrace training-set`.")
    columns = {}
    for name in [*names, label]:
        kind = table.schema.field(name).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise UserError(f"Column {name} is of type {kind}; make it a number in the feature service: ordinal().")
        columns[name] = table.column(name).cast(pa.float64(), safe=False).to_pandas()
    frame = pd.DataFrame(columns)
    frame[TIME] = pd.to_datetime(table.column(TIME).to_pandas(), utc=True)
    labelled = frame[frame[label].notna()].sort_values(TIME, kind="stable", ignore_index=True)
    print(f"{path.name}: {len(labelled)} rows with a label, {len(frame) - len(labelled)} without left out")
    if not set(labelled[label].unique()) == {0.0, 1.0}:
        raise UserError(f"The label {label} of {path} must be true in some rows and false in others, and nothing else.")
    return labelled


def signature(names: list[str], prediction: np.ndarray) -> ModelSignature:
    """All features as doubles. Required means that the column is there: a null in it is NaN, which the trees take."""
    inputs = Schema([ColSpec(DataType.double, name, required=True) for name in names])
    return ModelSignature(inputs=inputs, outputs=infer_signature(prediction).inputs)


def next_version(folder: Path) -> Path:
    versions = [int(path.name) for path in folder.glob("*") if path.name.isdigit()]
    return folder / str(max(versions, default=0) + 1)


def main() -> None:
    options = arguments()
    out = options.out or next_version(HERE / "model")
    if out.exists():
        raise UserError(f"{out} exists. A version never changes: choose another folder with --out, or delete it.")
    millrace = options.millrace or options.training_set.parent / "millrace.json"
    for path in [options.training_set, millrace, *([options.test] if options.test else [])]:
        if not path.is_file():
            raise UserError(f"{path} does not exist; `millrace training-set` makes training sets and millrace.json.")
    description = json.loads(millrace.read_text())
    columns = parquet.read_schema(options.training_set).names
    names = feature_names(options.features, description, columns, options.label)

    frame = read(options.training_set, names, options.label)
    # Split by time, not at random: flights of one bad day are alike, and the model will serve the days that follow.
    cut = frame[TIME].max().floor("D") - pd.Timedelta(days=options.holdout_days - 1)
    train, validation = frame[frame[TIME] < cut], frame[frame[TIME] >= cut]
    if train[options.label].nunique() < 2 or validation[options.label].nunique() < 2:
        raise UserError(f"The split at {cut} leaves a part with one outcome only: change --holdout-days.")

    def matrix(rows: pd.DataFrame) -> xgboost.DMatrix:
        return xgboost.DMatrix(rows[names], rows[options.label])

    full = xgboost.train(
        PARAMETERS,
        matrix(train),
        num_boost_round=ROUNDS,
        evals=[(matrix(validation), "validation")],
        early_stopping_rounds=30,
        verbose_eval=False,
    )
    # Only the trees that early stopping kept, so that every reader of the file evaluates the same ones.
    booster = full[: full.best_iteration + 1]

    def area(rows: pd.DataFrame) -> float:
        return round(float(roc_auc_score(rows[options.label], booster.predict(matrix(rows)))), 4)

    measured = {"train_auc": area(train), "validation_auc": area(validation)}
    if options.test:
        measured["test_auc"] = area(read(options.test, names, options.label))

    example = train[names].head(3).reset_index(drop=True)
    mlflow.xgboost.save_model(
        booster,
        out,
        signature=signature(names, booster.predict(xgboost.DMatrix(example))),
        input_example=example,
        pip_requirements=str(HERE / "requirements.txt"),
        model_format="ubj",
        metadata={
            "label": options.label,
            "trees": booster.num_boosted_rounds(),
            "validated_from": cut.isoformat(),
            **measured,
        },
    )
    shutil.copyfile(millrace, out / "millrace.json")

    print(f"{len(names)} features, {booster.num_boosted_rounds()} trees, validated from {cut:%Y-%m-%d} on")
    for name, value in measured.items():
        print(f"{name} {value:.4f}")
    print(f"wrote {out}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(f"train.py: {error}", file=sys.stderr)
        sys.exit(2)
