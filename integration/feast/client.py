"""What a user of Feast does: the real SDK with a remote online store. Prints one JSON object of named results."""

import json
import sys
from datetime import datetime, timedelta, timezone

import pandas as pd
import pyarrow
import pyarrow.ipc
import requests
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource, ValueType
from feast.data_source import PushMode
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Array, Bool, Float64, Int32, Int64, String, UnixTimestamp

folder, url = sys.argv[1], sys.argv[2]
with open(f"{folder}/feature_store.yaml", "w") as file:
    file.write(f"""
project: rides
provider: local
registry: {folder}/registry.db
online_store: {{ type: remote, path: "{url}" }}
offline_store: {{ type: file }}
entity_key_serialization_version: 3
""")

now = datetime.now(timezone.utc)
driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
card = Entity(name="card", join_keys=["card_id"], value_type=ValueType.STRING)
types = {"rating": Float64, "trips": Int64, "seats": Int32, "city": String, "active": Bool, "hired_at": UnixTimestamp, "badges": Array(String)}
facts = FileSource(name="facts_file", path=f"{folder}/facts.parquet", timestamp_field="event_timestamp", created_timestamp_column="created")
payments = FileSource(name="payments_file", path=f"{folder}/payments.parquet", timestamp_field="event_timestamp")


def frame(ids, at, **columns):
    rows = len(ids)
    whole = {name: columns.get(name, [None] * rows) for name in types}
    return pd.DataFrame({"driver_id": ids, **whole, "event_timestamp": [at] * rows, "created": [columns.get("created", at)] * rows})


frame([1], now, rating=[1.0]).to_parquet(f"{folder}/facts.parquet")
pd.DataFrame({"card_id": ["a"], "n": [1.0], "spend": [1.0], "event_timestamp": [now]}).to_parquet(f"{folder}/payments.parquet")

stats = FeatureView(
    name="driver_stats", entities=[driver], ttl=timedelta(days=1),
    schema=[Field(name="driver_id", dtype=Int64), *(Field(name=name, dtype=dtype) for name, dtype in types.items())],
    source=PushSource(name="driver_facts", batch_source=facts),
)
activity = FeatureView(
    name="card_activity", entities=[card],
    schema=[Field(name="card_id", dtype=String), Field(name="n", dtype=Float64), Field(name="spend", dtype=Float64)], source=payments,
)
unknown = FeatureView(name="unknown_here", entities=[card], schema=[Field(name="card_id", dtype=String), Field(name="n", dtype=Float64)], source=payments)
ride = FeatureService(name="ride_v1", features=[stats[["rating", "trips"]], activity[["spend"]]])
store = FeatureStore(repo_path=folder)
store.apply([driver, card, stats, activity, unknown, ride])

results = {}


def read(features, rows, **options):
    response = store.get_online_features(features=features, entity_rows=rows, **options)
    proto = response.proto
    names = list(proto.metadata.feature_names.val)
    return {
        "names": names,
        "values": response.to_dict(),
        "statuses": {name: [FieldStatus.Name(s) for s in proto.results[i].statuses] for i, name in enumerate(names)},
        "types": {name: [v.WhichOneof("val") for v in proto.results[i].values] for i, name in enumerate(names)},
    }


def failing(name, action):
    try:
        action()
        results[name] = None
    except Exception as error:  # noqa: BLE001
        results[name] = {"class": type(error).__name__, "message": str(error)}


every = [f"driver_stats:{name}" for name in types]
hour = timedelta(hours=1)
first = frame([1, 2], now - hour, rating=[5.0, 4.25], trips=[2**60 + 1, 3], seats=[4, 2], city=["Gent", None],
              active=[True, False], hired_at=[datetime(2020, 2, 3, tzinfo=timezone.utc), None], badges=[["fast", "kind"], None])
store.push("driver_facts", first, to=PushMode.ONLINE)
results["pushed"] = read(every, [{"driver_id": 1}, {"driver_id": 2}, {"driver_id": 3}])
results["pushed_trips"] = str(results["pushed"]["values"]["trips"][0])
results["entity_columns"] = read(every[:2], {"driver_id": [2, 1]})

store.write_to_online_store("driver_stats", df=frame([1], now - hour / 2, rating=[3.5], trips=[7]))
results["written"] = read(every, [{"driver_id": 1}])
# An older fact that is written later does not win; a correction of the same moment does.
store.write_to_online_store("driver_stats", df=frame([1], now - hour, rating=[1.0], trips=[1], created=now))
results["older"] = read(every[:2], [{"driver_id": 1}])
store.write_to_online_store("driver_stats", df=frame([1], now - hour / 2, rating=[4.5], trips=[8], created=now))
results["corrected"] = read(every[:2], [{"driver_id": 1}])
store.write_to_online_store("driver_stats", df=frame([4], now - timedelta(hours=30), rating=[2.0]))
store.write_to_online_store("driver_stats", df=frame([5], now - timedelta(hours=50), rating=[2.0]))
results["expired"] = read(every[:1], [{"driver_id": 4}, {"driver_id": 5}])

pushed = requests.post(f"{url}/push", json={"push_source_name": "payments", "to": "online", "df": {
    "payment_id": ["p1", "p2", "p3"], "card": ["a", "a", "b"], "amount": [10.0, 2.5, 1],
    "event_timestamp": [(now - timedelta(minutes=m)).replace(tzinfo=None).isoformat() for m in (3, 2, 1)]}})
results["push_status"] = pushed.status_code
results["service"] = read(store.get_feature_service("ride_v1"), [{"driver_id": 1, "card_id": "a"}, {"driver_id": 9, "card_id": "b"}])
results["full_names"] = read(["driver_stats:rating", "card_activity:n"], [{"driver_id": 1, "card_id": "a"}], full_feature_names=True)
frame_read = store.get_online_features(features=["card_activity:spend"], entity_rows=[{"card_id": c} for c in ("a", "b", "z")]).to_df()
results["frame"] = {name: frame_read[name].tolist() for name in frame_read.columns}
many = read(["card_activity:n"], [{"card_id": f"c{i}"} for i in range(1000)])
results["many"] = {"rows": len(many["values"]["n"]), "statuses": sorted(set(many["statuses"]["n"]))}

arrow = requests.post(f"{url}/v1/features/online", headers={"accept": "application/vnd.apache.arrow.stream"},
                      json={"service": "ride_v1", "rows": [{"driver_id": 1, "card_id": "a"}, {"driver_id": 9, "card_id": "b"}]})
table = pyarrow.ipc.open_stream(arrow.content).read_all()
results["arrow"] = {"columns": table.to_pydict(), "types": {f.name: str(f.type) for f in table.schema},
                    "service": table.schema.metadata[b"millrace.service"].decode()}

keys = [EntityKey(join_keys=["driver_id"], entity_values=[Value(int64_val=i)]) for i in (1, 2)]
provider = store._get_provider()
rows = provider.online_read(store.config, stats, keys, list(types))
results["online_read"] = [{name: value.WhichOneof("val") for name, value in features.items()} for _, features in rows]
results["online_read_hired"] = [features["hired_at"].unix_timestamp_val for _, features in rows]
results["online_read_at"] = rows[0][0].isoformat()

failing("unknown_view", lambda: read(["unknown_here:n"], [{"card_id": "a"}]))
failing("missing_key", lambda: read(["card_activity:n", "driver_stats:rating"], [{"card_id": "a"}]))
failing("computed", lambda: store.write_to_online_store("card_activity", df=pd.DataFrame({"card_id": ["a"], "n": [1.0], "spend": [1.0], "event_timestamp": [now]})))
failing("bad_row", lambda: store.write_to_online_store("driver_stats", df=frame([7], now + timedelta(days=1), rating=[1.0])))
results["health"] = requests.get(f"{url}/health").status_code
results["now"] = now.isoformat()
print(json.dumps(results, default=str))
