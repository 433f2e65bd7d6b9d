"""Says what to install if a command or an example needs a package that a light installation lacks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.command.failures import COULD_NOT_RUN

# Modules that `pip install r2mrf` does not install -> the extra that does.
EXTRAS = {
    **dict.fromkeys(("starlette", "uvicorn"), "app"),
    **dict.fromkeys(("ray", "pyarrow", "openvino", "torch", "torchvision", "timm", "onnx", "itables"), "score"),
    **dict.fromkeys(("albumentations", "scipy", "skimage", "sklearn"), "train"),
    **dict.fromkeys(("dvc", "mlflow", "matplotlib", "jinja2"), "pipeline"),
}


@contextmanager
def needed_by(program: str) -> Iterator[None]:
    """End the program with status 2 and `sentence` on stderr if an import in the block finds a package missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if not (missing := sentence(error, program)):
            raise
        print(missing, file=sys.stderr)
        sys.exit(COULD_NOT_RUN)


def sentence(error: ModuleNotFoundError, program: str) -> str | None:
    """Say which extra installs a missing module; return None if no extra does, which means a bug of ours."""
    module = (error.name or "").partition(".")[0]
    if not (extra := EXTRAS.get(module)):
        return None
    return f'`{program}` needs {module}, which is not installed: `pip install "r2mrf[{extra}]"`'
