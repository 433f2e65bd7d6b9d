"""The documentation as a site: it is built from the pages as they are, and shows them without any network."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.documents import ROOT


def build(config: Path, target: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "mkdocs", "build", "--config-file", config, "--site-dir", target]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", target)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def test_pages_load_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|link|iframe)[^>]+(?:src|href)=\"((?:https?:)?//[^\"]+)", page.read_text())
        assert not loaded, page


def test_the_reference_describes_what_most_programs_need(site):
    page = (site / "reference.html").read_text()
    for name in ("prediction.predictor.Predictor.load", "imaging.images.load", "evaluation.metrics.Counts"):
        assert f'id="r2mrf.{name}"' in page, name


def test_formulas_are_shown_as_formulas(site):
    page = (site / "method.html").read_text()
    assert page.count("<math") > 10
    assert "\\mathrm" not in re.sub(r"<annotation.*?</annotation>", "", page)


def test_linked_lines_of_source_files_are_there(site):
    linked = re.findall(r'href="(source/[^"#]+)#([^"]+)"', (site / "paper-to-code.html").read_text())
    assert len(linked) > 20
    for page, line in linked:
        assert f'id="{line}"' in (site / page).read_text()


def test_broken_links_end_the_build(tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    with (tmp_path / "docs/data.md").open("a") as page:
        page.write("[no page](nowhere.md), [no file](../r2mrf/nowhere.py), [no heading](design.md#nowhere)\n")
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    settings |= {"docs_dir": str(tmp_path / "docs"), "hooks": [str(ROOT / "docs/hooks.py")], "plugins": []}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(settings))
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert len(re.findall("WARNING.*nowhere", done.stdout + done.stderr)) == 3
