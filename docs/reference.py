"""docs/api.md from the docstrings of r2mrf/, by `make api`. Nothing is imported; a test compares page and code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api.md"
HEAD = """# The library

Everything public in `r2mrf`, written from its docstrings by `make api`. `Predictor` is what most programs need. Inside
the library 1 = out of focus, photos are `uint8 H×W×3` RGB as displayed, maps `float32 H×W` in [0, 1]. Errors that a
user can mend are `r2mrf.errors.UserError`, a `ValueError` whose message is a sentence.
"""
SECTIONS = ("Args:", "Attributes:", "Returns:", "Raises:")
Def = ast.FunctionDef | ast.ClassDef


def page() -> str:
    """The whole page."""
    modules = [path for path in sorted((ROOT / "r2mrf").rglob("*.py")) if path.stem != "__init__"]
    modules.sort(key=lambda path: path.stem != "predictor")  # what most need comes first
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules]
    parsed = {name: path.read_text(encoding="utf-8") for name, path in zip(names, modules, strict=True)}
    contents = [f"| [`{name}`](#{name.replace('.', '')}) | {_first_sentence(text)} |" for name, text in parsed.items()]
    parts = [HEAD, "\n".join(["| module | |", "|---|---|", *contents]) + "\n"]
    for name, text in parsed.items():
        tree = ast.parse(text)
        parts.append(f"## {name}\n\n{_markdown(ast.get_docstring(tree) or '')}\n")
        parts += [part for node in tree.body if _is_public(node) for part in _entry(node, text.splitlines(), "###")]
    return "\n".join(parts)


def _is_public(node: ast.AST) -> bool:
    return isinstance(node, Def) and not node.name.startswith("_")


def _entry(node: Def, lines: list[str], level: str, owner: str = "") -> Iterator[str]:
    """Heading, docstring, fields and methods of a function or class."""
    yield f"{level} `{owner}{node.name}{_signature(node)}`\n"
    if text := ast.get_docstring(node):
        yield _markdown(text) + "\n"
    if isinstance(node, ast.ClassDef):
        fields = [line for field in node.body if isinstance(field, ast.AnnAssign) for line in _source(field, lines)]
        if fields:
            yield "\n".join(["```python", *fields, "```"]) + "\n"
        for method in node.body:
            if (_is_public(method) or getattr(method, "name", "") == "__call__") and ast.get_docstring(method):
                yield from _entry(method, lines, level + "#", f"{node.name}.")


def _signature(node: Def) -> str:
    """Arguments as they are written; of a class, those of its constructor, if it writes one."""
    if isinstance(node, ast.ClassDef):
        made = [method for method in node.body if getattr(method, "name", "") == "__init__"]
        return _signature(made[0]) if made else ""
    if any(isinstance(mark, ast.Name) and mark.id == "property" for mark in node.decorator_list):
        return f": {ast.unparse(node.returns)}" if node.returns else ""
    arguments = re.sub(r"^(self|cls)(, |$)", "", ast.unparse(node.args))
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    return f"({arguments}){returns}"


def _source(field: ast.AnnAssign, lines: list[str]) -> list[str]:
    return [line.strip() for line in lines[field.lineno - 1 : field.end_lineno]]


def _first_sentence(text: str) -> str:
    paragraph = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=[.?])\s", paragraph)[0].replace("|", r"\|")


def _markdown(docstring: str) -> str:
    """A docstring's sections as lists; the rest stays as it is."""
    out, inside = [], False
    for line in docstring.splitlines():
        if line in SECTIONS:
            out += ["" if out and out[-1] else None, f"**{line[:-1]}**", ""]
            inside = True
        elif inside and (item := re.match(r" {4}([\w, `.]+): (.*)", line)):
            out.append(f"- `{item[1]}`: {item[2]}")
        elif inside and line.startswith("    "):
            out.append(f"  {line.strip()}" if out[-1] else line.strip())
        else:
            inside = inside and not line
            out.append(line)
    return "\n".join(line for line in out if line is not None)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
