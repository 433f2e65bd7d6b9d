"""Stages and jobs: each file wires r2mrf to DVC, Ray and MLflow, and runs as `python -m pipelines.NAME`."""

import os

# Quiet and offline, also in the processes that are started from here.
for _name, _value in {
    "DVC_NO_ANALYTICS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_COLOR_PREFIX": "0",
    # What is left of a Ray Data job when its cluster is gone must not start another, unasked, while it is cleared away.
    "RAY_ENABLE_AUTO_CONNECT": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "NO_ALBUMENTATIONS_UPDATE": "1",
}.items():
    os.environ.setdefault(_name, _value)
