"""Logs and registers models with MLflow's own client, as a training script does; prints what the libraries predict."""
import json
import sys

import mlflow
import numpy
import pandas
import xgboost
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

mlflow.set_tracking_uri(sys.argv[1])
wanted = sys.argv[2].split(",")
random = numpy.random.default_rng(5)
frame = pandas.DataFrame({"n": random.integers(0, 9, 400).astype("float64"), "spend": random.normal(20, 9, 400).round(3), "amount": random.normal(3, 2, 400).round(3)})
label = (frame.n * 2 + frame.spend / 9 + random.normal(0, 2, 400) > 11).astype(int)
rows = frame.head(20)
said = {}

trees = xgboost.XGBClassifier(n_estimators=30, max_depth=4).fit(frame, label)
for format in [one for one in ["ubj", "json"] if f"trees_{one}" in wanted]:
    mlflow.xgboost.log_model(trees.get_booster(), name="model", model_format=format, registered_model_name=f"trees_{format}",
        signature=infer_signature(frame, trees.predict_proba(frame)[:, 1]), input_example=frame.head(2))
said["trees"] = [float(x) for x in trees.get_booster().predict(xgboost.DMatrix(rows))]

words = frame.assign(word=random.choice(["a", "b"], 400))
if "linear" in wanted:
    pipe = make_pipeline(make_column_transformer((OneHotEncoder(), ["word"]), remainder="passthrough"), LogisticRegression(max_iter=2000)).fit(words, label)
    mlflow.sklearn.log_model(pipe, name="model", registered_model_name="linear", pyfunc_predict_fn="predict_proba",
        serialization_format="cloudpickle", signature=infer_signature(words, pipe.predict_proba(words)), input_example=words.head(2))
    said["linear"] = pipe.predict_proba(words.head(20)).tolist()
said["rows"] = words.head(20).to_dict("records")
mlflow.MlflowClient().set_registered_model_alias(wanted[0], "champion", 1)
print(json.dumps(said))
