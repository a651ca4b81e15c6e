"""Feast's side of `npm run bench -- point-in-time`: FOLDER has users, merchants, cards and labels as Parquet.

python point_in_time_feast.py duckdb|postgres FOLDER ROUNDS [HOST PORT USER DATABASE PASSWORD]
Prints the seconds of each round, from the call of get_historical_features to the written Parquet file, as JSON.
"""

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64, Int64, String

store_kind, folder, rounds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
VIEWS = {
    "users": ("user_id", {**{f"u{i}": Float64 for i in (1, 2, 3, 4)}, "u5": Int64, "u6": Int64, "u7": String, "u8": Float64}),
    "merchants": ("merchant_id", {**{f"m{i}": Float64 for i in (1, 2, 3, 4)}, "m5": Int64, "m6": String}),
    "cards": ("card_id", {**{f"c{i}": Float64 for i in (1, 2, 3, 4)}, "c5": Int64, "c6": Float64}),
}

if store_kind == "duckdb":
    offline = {"type": "duckdb"}
else:
    host, port, user, database, password = sys.argv[4:9]
    offline = {
        "type": "postgres",
        "host": host,
        "port": int(port),
        "database": database,
        "db_schema": "public",
        "user": user,
        "password": password,
        "sslmode": "disable",
    }


def source(name):
    columns = {"timestamp_field": "event_timestamp", "created_timestamp_column": "created"}
    if store_kind == "duckdb":
        return FileSource(name=name, path=str(folder / f"{name}.parquet"), **columns)
    from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource

    return PostgreSQLSource(name=name, query=f"SELECT * FROM public.{name}", **columns)


repo = folder / f"feast-{store_kind}"
repo.mkdir(exist_ok=True)
feast = FeatureStore(
    config=RepoConfig(
        project="bench",
        provider="local",
        registry=str(repo / "registry.db"),
        online_store={"type": "sqlite", "path": str(repo / "online.db")},
        offline_store=offline,
        entity_key_serialization_version=3,
        repo_path=repo,
    )
)
entities = {key: Entity(name=key, join_keys=[key], value_type=ValueType.INT64) for key, _ in VIEWS.values()}
views = [
    FeatureView(
        name=name,
        entities=[entities[key]],
        ttl=timedelta(days=7),
        schema=[Field(name=key, dtype=Int64), *(Field(name=f, dtype=dtype) for f, dtype in features.items())],
        source=source(name),
    )
    for name, (key, features) in VIEWS.items()
]
feast.apply([*entities.values(), *views])

labels = pd.read_parquet(folder / "labels.parquet")
labels["event_timestamp"] = labels["event_timestamp"].dt.tz_localize("UTC")
wanted = [f"{name}:{feature}" for name, (_, features) in VIEWS.items() for feature in features]
out = folder / f"feast-{store_kind}.parquet"
times = []
for _ in range(rounds):
    started = time.perf_counter()
    frame = feast.get_historical_features(entity_df=labels, features=wanted).to_df()
    frame.to_parquet(out)
    times.append(time.perf_counter() - started)
print(json.dumps(times))
