"""Writes pages of docs/ that report measurements: the text is in a Jinja template, the figures are read from files."""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from r2mrf.system.atomic import atomic_file


def render(template: Path, **values: object) -> str:
    """Return the text of a page; a name missing from `values` is an error."""
    environment = Environment(
        loader=FileSystemLoader(template.parent), trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    text = environment.get_template(template.name).render(**values)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def write(page: Path, text: str) -> None:
    """Write the page to its file, completely or not at all."""
    with atomic_file(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"wrote {page}")
