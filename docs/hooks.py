"""Hooks of MkDocs: pages from outside docs/, pages for source files that are linked, formulas.

The pages are written for a reader of the repository, so their links are relative to the file that they stand in. Here
each link is resolved to a file of the repository, and then to the page of the site that shows it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import latex2mathml.converter
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = {  # page of the site -> file of the repository
    "index.md": "README.md",
    "infra.md": "infra/README.md",
    "lite.md": "r2mrf/weights/lite/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "changes.md": "CHANGELOG.md",
}
PAGE_OF = {file: page for page, file in OUTSIDE.items()}
FENCED = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)  # no links in there
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside docs/, and a page for each source file that any page links to."""
    for page, file in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / file).read_text(encoding="utf-8")))
    sources = {
        target
        for page in list(files.documentation_pages())
        for target, _ in links(page.content_string, _repository_path(page.src_uri))
        if _is_source(target)
    }
    for source in sorted(sources):
        files.append(File.generated(config, _page_of(source), content=_listing(source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links between files of the repository to links between pages of the site."""
    here = page.file.src_uri
    if here.startswith("source/"):
        return markdown
    base = _repository_path(here)

    def rewritten(match: re.Match) -> str:
        target, line = _resolved(match[1], base), match[2] or ""
        if _is_source(target):  # MkDocs knows no anchors within code: `on_page_content` makes them of this
            line = line.replace("#L", "?line=")
        return os.path.relpath(_page_of(target), Path(here).parent) + line

    return _outside_code(markdown, lambda text: LINK.sub(rewritten, text))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn formulas into MathML, which browsers show without any script, and let links lead to lines of code."""

    def formula(match: re.Match) -> str:
        text = match[3].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        return latex2mathml.converter.convert(text, display="block" if match[2] == "[" else "inline")

    return FORMULA.sub(formula, html).replace("?line=", "#__codelineno-0-")


def links(markdown: str, base: str) -> list[tuple[str, str]]:
    """Yield (file of the repository, `#…` or "") for each relative link of a page.

    Args:
        base: file of the repository that the page is.
    """
    text = FENCED.sub("", markdown)
    return [(_resolved(match[1], base), match[2] or "") for match in LINK.finditer(text)]


def _outside_code(markdown: str, change: Callable[[str], str]) -> str:
    """Apply a function to the parts of a page that are not code."""
    out, end = "", 0
    for code in FENCED.finditer(markdown):
        out += change(markdown[end : code.start()]) + code[0]
        end = code.end()
    return out + change(markdown[end:])


def _resolved(target: str, base: str) -> str:
    """Return the file of the repository that a link means; a folder means its README."""
    path = os.path.normpath(Path(base).parent / target)
    return f"{path}/README.md" if (ROOT / path).is_dir() else path


def _repository_path(page: str) -> str:
    return OUTSIDE.get(page, f"docs/{page}")


def _is_source(file: str) -> bool:
    return file not in PAGE_OF and not file.startswith("docs/") and (ROOT / file).is_file()


def _page_of(file: str) -> str:
    if file.startswith("docs/"):
        return file.removeprefix("docs/")
    return PAGE_OF.get(file, f"source/{file}.md")


def _listing(file: str) -> str:
    """Return a page that shows a file with line numbers, each of which can be linked to."""
    language = {".py": "python", ".yaml": "yaml"}.get(Path(file).suffix, "text")
    text = (ROOT / file).read_text(encoding="utf-8")
    return f'---\nsearch:\n  exclude: true\nhide: [toc]\n---\n# {file}\n\n````{language} linenums="1"\n{text}````\n'
