"""Links, files, modules and lines that the documents name exist; docs/design.md names every room."""

import contextlib
import importlib
import importlib.util
import re

import pytest

from docs import lines
from tests.support.documents import DOCUMENTS, ROOT


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, heading = target.partition("#")
        if "://" in target or (heading and not path):
            continue
        if linked_lines := re.fullmatch(r"L(\d+)", heading):
            assert int(linked_lines[1]) <= len((ROOT / document).parent.joinpath(path).read_text().splitlines()), target
            continue
        linked = (ROOT / document).parent / path
        assert linked.exists(), target
        headings = re.findall(r"^#+ (.*)", linked.read_text(), re.MULTILINE) if heading else []
        assert not heading or heading in [re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in headings]


def test_design_names_every_room_and_stage():
    text = (ROOT / "docs/design.md").read_text()
    for package in ("r2mrf", "pipelines"):
        rooms = {f"{file.parent.name}/" for file in (ROOT / package).glob("*/__init__.py")}
        modules = {file.stem for file in (ROOT / package).glob("[!_]*.py")}
        assert rooms | modules <= set(re.findall(r"`([\w/]+)`", text))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_and_modules_that_are_named_exist(document):
    """Check paths below the packages, such as `r2mrf/network/model.py` or `r2mrf.network.model`."""
    text = (ROOT / document).read_text()
    packages = "r2mrf|pipelines|tests|benchmarks|examples|infra|docs"
    for path in re.findall(rf"(?<![\w/])((?:{packages})/[a-z][\w./-]*\w)", text):
        assert (ROOT / path).exists(), path
    for module in re.findall(r"(?<![\w/.-])((?:r2mrf|pipelines|benchmarks)(?:\.[a-z_0-9]+)+)\b(?!\()", text):
        assert _is_importable(module), module


def test_line_links_lead_to_what_they_name():
    page = lines.PAGE
    found = lines.LINK.findall(page.read_text())
    assert len(found) > 20
    for name, path, line in found:
        first, last = lines.spans(page.parent / path)[name]
        near = range(first - 25, last + 26)  # a reader still finds it; `make docs` sets the lines anew
        assert int(line) in near, f"{name} has moved: python docs/lines.py"


def _is_importable(name: str) -> bool:
    """Return whether the name is a module or something in one."""
    parent, _, last = name.rpartition(".")
    with contextlib.suppress(ModuleNotFoundError):
        if importlib.util.find_spec(name):
            return True
    return hasattr(importlib.import_module(parent), last)
