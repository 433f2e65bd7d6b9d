"""Which files of this project a file imports, read from its source."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]


def imported(path: Path) -> set[Path]:
    """Return the files of this project that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    places = [ROOT.joinpath(*name.split(".")) for name in names if name.partition(".")[0] in ("r2mrf", "pipelines")]
    files = {file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")}
    return {file for file in files if file.is_file()}


def imported_at_all(path: Path) -> set[Path]:
    """Return the file itself, and all files of this project that it imports, directly or through others."""
    seen: set[Path] = set()
    todo = [path]
    while todo:
        if (file := todo.pop()) not in seen:
            seen.add(file)
            todo += imported(file)
    return seen
