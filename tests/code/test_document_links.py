"""Links, files, modules and lines that the documents name exist; the rooms and their imports are as described."""

import contextlib
import importlib
import importlib.util
import re
import tomllib

import pytest

from docs import lines
from tests.support.documents import DOCUMENTS, ROOT

DESIGN = ROOT / "docs/design.md"
PACKAGES = ("r2mrf", "pipelines")


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


@pytest.mark.parametrize("package", PACKAGES)
def test_design_and_readme_name_every_room_and_stage(package):
    rooms = {f"{file.parent.name}/" for file in (ROOT / package).glob("*/__init__.py")}
    modules = set(_modules(package))
    assert rooms | modules <= set(re.findall(r"`([\w/]+)`", DESIGN.read_text()))
    tree = (ROOT / "README.md").read_text().partition("## File structure")[2].partition("\n## ")[0]
    assert rooms <= set(re.findall(r"\w+/", tree))
    assert package == "r2mrf" or modules <= set(re.findall(r"\w+", tree))


@pytest.mark.parametrize("package", PACKAGES)
def test_design_states_the_rule_of_imports_that_make_lint_checks(package):
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract.get("containers") == [package])
    (line,) = re.findall(rf"^    {package} +(.+ > .+)$", DESIGN.read_text(), re.MULTILINE)
    stated = [set(layer.split(" | ")) for layer in line.replace("stages", " | ".join(_modules(package))).split(" > ")]
    assert stated == [set(layer.split(" | ")) for layer in layers]


def test_what_design_says_where_to_change_is_there():
    """Check each name of code, such as `RUNTIMES` or `Counts.summary`, against the files that its paragraph names."""
    text = DESIGN.read_text().partition("## Where to change what")[2]
    for paragraph in text.split("\n\n"):
        spans = re.findall(r"`([^`]+)`", paragraph)
        code = "".join(path.read_text() for span in spans if (path := ROOT / span).is_file())
        for name in (part for span in spans if re.fullmatch(r"[A-Z]\w+(\.\w+)?", span) for part in span.split(".")):
            assert re.search(rf"\b{name}\b", code), (name, paragraph)


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


def _modules(package: str) -> list[str]:
    return [file.stem for file in (ROOT / package).glob("[!_]*.py")]


def _is_importable(name: str) -> bool:
    """Return whether the name is a module or something in one."""
    parent, _, last = name.rpartition(".")
    with contextlib.suppress(ModuleNotFoundError):
        if importlib.util.find_spec(name):
            return True
    return hasattr(importlib.import_module(parent), last)
