"""Pages in docs/ that are written from what was measured: words in a Jinja template, figures from files."""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from r2mrf.system.atomic import atomic_file


def render(template: Path, **values: object) -> str:
    """The text of a page; a name that is missing in `values` is an error."""
    environment = Environment(
        loader=FileSystemLoader(template.parent), trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    text = environment.get_template(template.name).render(**values)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def write(page: Path, text: str) -> None:
    """Put the page in its place, whole."""
    with atomic_file(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"{page} is written")
