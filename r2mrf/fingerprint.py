"""Names for "made from exactly this": SHA-256 over parameters, input files and code."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

# Libraries whose next release may give other pixels or numbers.
LIBRARIES = ("albumentations", "numpy", "opencv-python", "pillow", "simplejpeg", "timm", "torch")


def fingerprint(*parts: object) -> str:
    """Hex SHA-256 of JSON-able parts; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def of_files(paths: Iterable[Path]) -> dict[str, str]:
    """File name -> SHA-256 of its content, for files read whole (a name must not stand twice)."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)}


def of_code(*modules: str) -> dict[str, str]:
    """SHA-256 of these modules of r2mrf and of all that they import from it, and versions of the libraries.

    Comments, docstrings and layout do not count: no hours of training are lost to a better word.
    """
    found: set[Path] = set()
    todo = [_module(module) for module in modules]
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            todo += _imports(path)
    return {path.name: of_module(path) for path in sorted(found)} | {name: version(name) for name in LIBRARIES}


def of_module(path: Path) -> str:
    """SHA-256 of a Python file's syntax without its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _imports(path: Path) -> list[Path]:
    """Modules of r2mrf that a file imports, anywhere in it."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "r2mrf":
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("r2mrf."):
            names.append(node.module.removeprefix("r2mrf."))
    return [_module(name) for name in names if _module(name).is_file()]


def _module(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.py")
