"""Makes Feast's repository in a folder and writes the rows of data.json to its online store: the data of the benchmark."""

import json
import sys
from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64

folder, redis = sys.argv[1], sys.argv[2]
with open(f"{folder}/feature_store.yaml", "w") as file:
    file.write(f"""
project: bench
provider: local
registry: {{ path: {folder}/registry.db, cache_ttl_seconds: 0 }}
online_store: {{ type: redis, connection_string: "{redis}" }}
offline_store: {{ type: file }}
entity_key_serialization_version: 3
""")
with open(f"{folder}/data.json") as file:
    frame = pd.DataFrame(json.load(file))
frame["event_timestamp"] = pd.to_datetime(frame["event_timestamp"], utc=True)
frame.to_parquet(f"{folder}/data.parquet")

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
source = FileSource(name="data", path=f"{folder}/data.parquet", timestamp_field="event_timestamp")
names = [name for name in frame.columns if name.startswith("f")]
users = FeatureView(name="users", entities=[user], ttl=timedelta(days=30), schema=[Field(name=name, dtype=Float64) for name in names], source=source)
store = FeatureStore(repo_path=folder)
store.apply([user, users, FeatureService(name="users_v1", features=[users])])
for at in range(0, len(frame), 1000):
    store.write_to_online_store("users", df=frame.iloc[at : at + 1000].copy())
