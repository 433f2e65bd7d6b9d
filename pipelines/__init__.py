"""The pipeline: stages and jobs that connect r2mrf to DVC, Ray and MLflow, run as `python -m pipelines.NAME`."""

import os
import sys

# Settings for quiet, offline work; child processes inherit them.
for _name, _value in {
    "DVC_NO_ANALYTICS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_COLOR_PREFIX": "0",
    # Do not start another Ray while the remains of a Ray Data job are garbage-collected.
    "RAY_ENABLE_AUTO_CONNECT": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # by default each start and end of a run waits several times 2 s
    # Nothing here asks whether a machine will be taken away, and the actor that watches for it makes Ray warn.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output always prints tables
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune's own handler would record a trial stopped by Ctrl-C as finished
    "TUNE_WARN_THRESHOLD_S": "60",  # by default Tune warns if its loop takes 0.5 s, as it does on a busy machine
    "TUNE_GLOBAL_CHECKPOINT_S": "1",  # save which trials are finished every second, in case the driver dies
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # give up after 15 s instead of 4 min if the server is down
    "NO_ALBUMENTATIONS_UPDATE": "1",
    # Threads of torch that wait for each other spin for a moment, and then sleep. If they spun on, as by
    # default, a training step on a busy machine took seven times as much of the processor; if they slept at once
    # (OMP_WAIT_POLICY=PASSIVE), one on a quiet machine took a fifth longer [measured].
    "GOMP_SPINCOUNT": "10000",
}.items():
    os.environ.setdefault(_name, _value)


def _say_what_is_missing(kind, error, trace) -> None:
    """End a program with one sentence, instead of a traceback, if it needs a package that is not installed."""
    from r2mrf.system import missing

    name = getattr(sys.modules["__main__"].__spec__, "name", __name__).removesuffix(".__main__")
    said = isinstance(error, ModuleNotFoundError) and missing.explain(error, f"`python -m {name}`", by="[pipeline]")
    if said:
        print(f"error: {said}", file=sys.stderr)
        sys.exit(2)  # with this status, as after any error that the user can fix
    sys.__excepthook__(kind, error, trace)


# Python sets this while it looks for the module of `python -m pipelines.NAME`, whose first imports may fail already.
if sys.argv[:1] == ["-m"]:
    sys.excepthook = _say_what_is_missing


def _end_in_silence(left) -> None:
    """Report an exception that Python cannot pass on, unless it only asks the process to end.

    Ray ends its workers by SIGTERM, and its handler raises SystemExit. If that happens while Python already ends or
    collects garbage, "Exception ignored" and a traceback would appear among the lines of a training.
    """
    if not issubclass(left.exc_type, SystemExit):
        sys.__unraisablehook__(left)


if sys.unraisablehook is sys.__unraisablehook__:
    sys.unraisablehook = _end_in_silence
