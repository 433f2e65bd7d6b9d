"""Fingerprints: SHA-256 over the parameters, input files and code that something was made from."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

# Libraries whose next release may produce other pixels or numbers.
LIBRARIES = ("albumentations", "numpy", "opencv-python", "pillow", "simplejpeg", "timm", "torch")

ROOT = Path(__file__).parents[1]  # of the package r2mrf
PACKAGE = "r2mrf"


def fingerprint(*parts: object) -> str:
    """Return the hex SHA-256 of parts that JSON can hold; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def of_files(paths: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of each file's content by its name; no two files may have the same name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)}


def of_code(*modules: str) -> dict[str, str | list[str]]:
    """Hash modules of r2mrf with all that they import from it, and name the versions of the libraries.

    Comments, docstrings, layout and file names do not count, so rewording or moving code never discards hours of
    training.

    Args:
        modules: names below r2mrf, for example "training.trainer".

    Returns:
        "code" -> the sorted hashes of the files' syntax; name of a library -> its version.

    Raises:
        ModuleNotFoundError: a module does not exist, or one that it imports from r2mrf.
    """
    return {"code": sorted(closure(*modules).values())} | {name: version(name) for name in LIBRARIES}


def of_rooms(*rooms: str) -> str:
    """Hash all files of code in rooms of r2mrf, to the byte: quicker than `of_code`, and any change counts."""
    files = sorted(path for room in rooms for path in (ROOT / room).glob("*.py"))
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)).hexdigest()


def closure(*modules: str) -> dict[str, str]:
    """Hash the syntax of modules and of everything that they import from r2mrf; keys are paths below r2mrf.

    Raises:
        ModuleNotFoundError: a module does not exist.
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
    """Hash a Python file's syntax without its docstrings and its imports of r2mrf and pipelines.

    Imported files of r2mrf count by their own hashes, so the import statements themselves say nothing new.
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
    """Yield the files of r2mrf that a file imports, at the top or inside functions."""
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
    """Return the file that `from module import name` reads: the module `name` in it, or else the module itself."""
    try:
        return _file(f"{module}.{name}")
    except ModuleNotFoundError:
        return _file(module)


def _file(module: str) -> Path:
    """Return the file of a module or package, given its full name."""
    place = ROOT.joinpath(*module.split(".")[1:])
    for path in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
        if path.is_file():
            return path
    raise ModuleNotFoundError(f"{module}: no such module below {ROOT}")
