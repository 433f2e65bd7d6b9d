"""Says which package is missing, with a command that installs it when pasted: it names the running Python."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from r2mrf.system import strict_json

CHECKOUT = Path(__file__).parents[2]  # if r2mrf runs from one
# Modules that `pip install .` does not bring -> what does: an extra of r2mrf, in brackets, or a package by itself.
BROUGHT_BY = {
    **dict.fromkeys(("starlette", "uvicorn"), "[app]"),
    **dict.fromkeys(("ray", "pyarrow", "torch", "torchvision", "timm", "onnx", "openvino"), "[score]"),
    **dict.fromkeys(("pathspec", "itables"), "[score]"),
    **dict.fromkeys(("albumentations", "scipy"), "[train]"),
    **dict.fromkeys(("dvc", "mlflow", "jinja2"), "[pipeline]"),
    "nncf": "[int8]",
    "matplotlib": "matplotlib",
    "shtab": "shtab",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
}


def is_missing(module: str) -> bool:
    """Return whether a module is not installed."""
    return find_spec(module) is None


def explain(error: ModuleNotFoundError, who: str, by: str = "") -> str | None:
    """Return the `sentence` about a failed import; None if nothing brings the module, which means a bug of ours."""
    module = (error.name or "").partition(".")[0]
    return sentence(who, module, by=by) if module in BROUGHT_BY else None


def sentence(who: str, *modules: str, by: str = "") -> str:
    """Say that someone needs modules of `BROUGHT_BY`, and how to install them.

    Args:
        who: empty if it is the modules themselves that were asked for.
        by: what to install instead of that which brings the modules.
    """
    brought = {module: BROUGHT_BY[module] for module in modules}
    names = [module if bringer.startswith("[") else bringer for module, bringer in brought.items()]
    *first, last = names
    listed = f"{', '.join(first)} and {last}" if first else last
    needed, are = f"{who} needs {listed}, which" if who else listed, "are" if first else "is"
    return f"{needed} {are} not installed: `{install(*([by] if by else brought.values()))}`"


@cache
def install(*wanted: str) -> str:
    """Return the command that installs packages, or extras of r2mrf, given in brackets, for the running Python."""
    arguments = [argument for one in dict.fromkeys(wanted) for argument in _arguments(one)]
    return shlex.join([sys.executable, "-m", "pip", "install", *arguments])


def _arguments(wanted: str) -> list[str]:
    """Return what pip is to be given. An extra is taken from where r2mrf was installed from: no index has r2mrf."""
    if not wanted.startswith("["):
        return [wanted]
    from importlib import metadata  # takes 20 ms, and only a hint needs it

    for installed in metadata.distributions(name="r2mrf"):
        origin = strict_json.parse_object(installed.read_text("direct_url.json") or "{}")
        url = urlsplit(origin.get("url", ""))
        if url.scheme == "file" and Path(unquote(url.path)).exists():
            editable = ["-e"] if origin.get("dir_info", {}).get("editable") else []
            return [*editable, f"{unquote(url.path)}{wanted}"]
    if (CHECKOUT / "pyproject.toml").is_file():
        return [f"{CHECKOUT}{wanted}"]
    return list(_packages(wanted))


def _packages(extra: str) -> Iterator[str]:
    """Yield the requirements of an extra, and of those that it contains."""
    from importlib import metadata

    for requirement in metadata.requires("r2mrf") or []:
        package, _, condition = requirement.partition(";")
        if re.fullmatch(rf"""extra == ['"]{extra[1:-1]}['"]""", condition.strip()):
            contained = re.fullmatch(r"r2mrf(\[.*\])", package.strip())
            yield from _packages(contained[1]) if contained else [package.strip()]
