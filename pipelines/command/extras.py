"""Says what to install if a command needs a package that a light installation lacks."""

from __future__ import annotations

# Modules that `pip install r2mrf` does not install -> the extra that does.
EXTRAS = {
    **dict.fromkeys(("starlette", "uvicorn"), "app"),
    **dict.fromkeys(("ray", "pyarrow", "openvino", "torch", "torchvision", "timm", "onnx", "itables"), "score"),
    **dict.fromkeys(("albumentations", "scipy", "skimage", "sklearn"), "train"),
    **dict.fromkeys(("dvc", "mlflow", "matplotlib", "jinja2"), "pipeline"),
}


def sentence(error: ModuleNotFoundError, command: str) -> str | None:
    """Say which extra installs a missing module; return None if no extra does, which means a bug of ours."""
    module = (error.name or "").partition(".")[0]
    if not (extra := EXTRAS.get(module)):
        return None
    return f'`r2mrf {command}` needs {module}, which is not installed: `pip install "r2mrf[{extra}]"`'
