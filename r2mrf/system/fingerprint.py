"""Names for "made from exactly this": SHA-256 over parameters, input files and code."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

# Libraries whose next release may give other pixels or numbers.
LIBRARIES = ("albumentations", "numpy", "opencv-python", "pillow", "simplejpeg", "timm", "torch")

ROOT = Path(__file__).parents[1]  # of the package r2mrf
PACKAGE = "r2mrf"


def fingerprint(*parts: object) -> str:
    """Hex SHA-256 of JSON-able parts; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def of_files(paths: Iterable[Path]) -> dict[str, str]:
    """File name -> SHA-256 of its content, for files read whole (a name must not stand twice)."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)}


def of_code(*modules: str) -> dict[str, str | list[str]]:
    """Fingerprint of modules of r2mrf, of all that they import from it, and of the libraries.

    Comments, docstrings, layout and the places of files do not count: no hours of training are lost to a better word
    or to a move.

    Args:
        modules: names below r2mrf, like "training.trainer".

    Returns:
        "code" -> the hashes of the files' syntax, sorted; name of a library -> its version.

    Raises:
        ModuleNotFoundError: one of the modules, or one that they import from r2mrf, is not there.
    """
    return {"code": sorted(closure(*modules).values())} | {name: version(name) for name in LIBRARIES}


def closure(*modules: str) -> dict[str, str]:
    """Path below r2mrf -> hash of its syntax, for modules and all that they import from r2mrf, anywhere in them.

    Raises:
        ModuleNotFoundError: a module is not there.
    """
    found: dict[str, str] = {}
    todo = [_file(f"{PACKAGE}.{module}") for module in modules]
    while todo:
        path = todo.pop()
        name = path.relative_to(ROOT).as_posix()
        if name not in found:
            found[name] = of_module(path)
            todo += _imports(path)
    return found


def of_module(path: Path) -> str:
    """SHA-256 of a Python file's syntax without its docstrings, and without its imports of r2mrf and pipelines.

    What is imported from r2mrf counts by its own hash; from where says nothing.
    """
    tree = _WithoutWords().visit(ast.parse(path.read_text(encoding="utf-8")))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


class _WithoutWords(ast.NodeTransformer):
    """Drops docstrings and imports of our own packages."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            del node.body[0]
        return super().generic_visit(node)

    def visit_Import(self, node: ast.Import) -> ast.Import | None:
        node.names = [alias for alias in node.names if not _is_ours(alias.name)]
        return node if node.names else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        return None if node.level or _is_ours(node.module or "") else node


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in (PACKAGE, "pipelines")


def _imports(path: Path) -> Iterator[Path]:
    """Files of r2mrf that a file imports, anywhere in it."""
    package = [PACKAGE, *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (_file(alias.name) for alias in node.names if alias.name.partition(".")[0] == PACKAGE)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            if module.partition(".")[0] == PACKAGE:
                yield from (_imported_from(module, alias.name) for alias in node.names)


def _imported_from(module: str, name: str) -> Path:
    """The file that `from module import name` means: the module of that name, else the one that holds it."""
    try:
        return _file(f"{module}.{name}")
    except ModuleNotFoundError:
        return _file(module)


def _file(module: str) -> Path:
    """The file of a module or package, by its full name."""
    place = ROOT.joinpath(*module.split(".")[1:])
    for path in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
        if path.is_file():
            return path
    raise ModuleNotFoundError(f"{module}: no such module below {ROOT}")
