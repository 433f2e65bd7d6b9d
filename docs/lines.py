"""Bring the line numbers in docs/paper-to-code.md up to date; `make docs` does so before it builds the site."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PAGE = Path(__file__).with_name("paper-to-code.md")
LINK = re.compile(r"\[`([\w.]+)`\]\(([\w./-]+\.py)#L(\d+)\)")


def spans(source: Path) -> dict[str, tuple[int, int]]:
    """Return first and last line of each function, class, method and constant of a file, by its qualified name."""
    found: dict[str, tuple[int, int]] = {}

    def visit(body: list[ast.stmt], prefix: str = "") -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[prefix + node.name] = node.lineno, node.end_lineno or node.lineno
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}{node.name}.")
            if isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = [target.id for target in targets if isinstance(target, ast.Name)]
                found.update({prefix + name: (node.lineno, node.end_lineno or node.lineno) for name in names})

    visit(ast.parse(source.read_text(encoding="utf-8")).body)
    return found


def updated(text: str) -> str:
    """Return the page with the line at which each linked name is defined now.

    Raises:
        KeyError: a file defines no such name.
    """

    def link(match: re.Match) -> str:
        name, path = match[1], match[2]
        return f"[`{name}`]({path}#L{spans(PAGE.parent / path)[name][0]})"

    return LINK.sub(link, text)


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
