"""Stages and jobs: each file wires r2mrf to DVC, Ray and MLflow, and runs as `python -m pipelines.NAME`."""

import os

# Quiet and offline, also in the processes that are started from here.
for _name, _value in {
    "DVC_NO_ANALYTICS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_COLOR_PREFIX": "0",
    # Do not start a Ray of its own while remains of a Ray Data job are garbage-collected.
    "RAY_ENABLE_AUTO_CONNECT": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # by default each start and end of a run waits for several times 2 s
    # Nothing here asks whether a machine will be taken away, and the actor that watches for it makes Ray warn.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the other one prints tables, however it is asked not to
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # it would call a trial that Ctrl-C has stopped a trial that has ended
    "TUNE_GLOBAL_CHECKPOINT_S": "1",  # a trial that has ended is known as such a second later, for when the driver dies
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # fail after 15 s, not 4 min, if the server is not there
    "NO_ALBUMENTATIONS_UPDATE": "1",
}.items():
    os.environ.setdefault(_name, _value)
