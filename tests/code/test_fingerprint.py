"""What is made again when code changes: whatever follows from what the code does, and nothing else."""

import runpy
import shutil
from pathlib import Path

import pytest

from r2mrf.system import fingerprint

CODE = {
    "top.py": '"""Does it."""\n\nfrom r2mrf.low import add\n\n\ndef run(x):\n    """Runs."""\n    return add(x)\n',
    "low.py": "def add(x):\n    return x + 1  # one more\n",
    "other.py": "ANY = 1\n",
}


@pytest.fixture
def package(tmp_path) -> Path:
    shutil.copy(fingerprint.__file__, tmp_path / "fingerprint.py")
    for name, text in CODE.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def of_code(package: Path) -> dict[str, str]:
    return runpy.run_path(str(package / "fingerprint.py"))["of_code"]("top")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("top.py", '"""Does it."""', '"""Does it well."""'),
        ("top.py", '    """Runs."""\n', ""),
        ("low.py", "  # one more", ""),
        ("low.py", "x + 1", "(x\n            + 1)"),
        ("other.py", "1", "2"),
    ],
)
def test_words_and_layout_change_nothing(package, name, old, new):
    before = of_code(package)
    assert old in CODE[name]
    (package / name).write_text(CODE[name].replace(old, new))
    assert of_code(package) == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("low.py", "1", "2"),
        ("low.py", "x + 1", "1 + x"),
        ("top.py", "run(x)", "run(x: int)"),  # annotations are read by the config
        ("top.py", "return add(x)", 'return "text"'),
    ],
)
def test_code_does(package, name, old, new):
    before = of_code(package)
    (package / name).write_text(CODE[name].replace(old, new, 1))
    assert of_code(package) != before


def test_a_name_is_of_what_is_said_in_whatever_order():
    assert fingerprint.fingerprint({"a": 1, "b": [2]}, 3) == fingerprint.fingerprint({"b": [2], "a": 1}, 3)
    different = [({"a": 1},), ({"a": 2},), ({"a": "1"},), (1, 2), ([1, 2],), (2, 1)]
    assert len({fingerprint.fingerprint(*parts) for parts in different}) == len(different)


def test_files_are_named_by_their_content(package):
    before = fingerprint.of_files(package.glob("*.py"))
    assert list(before) == sorted(["fingerprint.py", *CODE])
    (package / "low.py").write_text(CODE["low.py"] + " ")
    after = fingerprint.of_files(package.glob("*.py"))
    assert {name for name in before if before[name] != after[name]} == {"low.py"}
