"""A change of code makes exactly those results again that depend on what the code does."""

from pathlib import Path

import pytest

from r2mrf.system import fingerprint

CODE = {
    "__init__.py": "",
    "upper/__init__.py": "",
    "upper/top.py": '"""Does it."""\n\nimport math\n\nfrom r2mrf.lower import low\n\n\n'
    'def run(x):\n    """Runs."""\n    return math.floor(low.add(x))\n',
    "lower/__init__.py": "",
    "lower/low.py": "from .lowest import ONE\nfrom ..aside import shift\n\n\n"
    "def add(x):\n    return x + ONE + shift(x)  # one more\n",
    "lower/lowest.py": "ONE = 1\n",
    "aside.py": "def shift(x):\n    import r2mrf.lower.deep as deep\n\n    return deep.shift(x)\n",
    "lower/deep.py": "def shift(x):\n    return x - 1\n",
    "other.py": "ANY = 1\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A small package that replaces r2mrf."""
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    for name, text in CODE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def of_top() -> dict:
    return fingerprint.of_code("upper.top")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("upper/top.py", '"""Does it."""', '"""Does it well."""'),
        ("upper/top.py", '    """Runs."""\n', ""),
        ("lower/low.py", "  # one more", ""),
        ("lower/low.py", "x + ONE", "(x\n            + ONE)"),
        ("lower/low.py", "from .lowest import ONE", "from r2mrf.lower.lowest import ONE"),
        ("other.py", "1", "2"),
    ],
)
def test_words_layout_and_imports_change_nothing(package, name, old, new):
    before = of_top()
    assert old in CODE[name]
    (package / name).write_text(CODE[name].replace(old, new))
    assert of_top() == before


def test_a_move_changes_nothing(package):
    before = of_top()
    (package / "lower/low.py").rename(package / "upper/low.py")
    (package / "upper/low.py").write_text(CODE["lower/low.py"].replace(".lowest", "r2mrf.lower.lowest"))
    (package / "upper/top.py").write_text(CODE["upper/top.py"].replace("r2mrf.lower", "r2mrf.upper"))
    assert of_top() == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("lower/lowest.py", "1", "2"),
        ("lower/low.py", "x + ONE", "ONE + x"),
        ("lower/deep.py", "- 1", "- 2"),  # behind a relative import, and one inside a function
        ("upper/top.py", "run(x)", "run(x: int)"),  # annotations are read by the config
        ("upper/top.py", "return math.floor(low.add(x))", 'return "text"'),
        ("upper/top.py", "import math", "import cmath as math"),  # what comes from elsewhere has no hash of its own
    ],
)
def test_code_does(package, name, old, new):
    before = of_top()
    assert old in CODE[name]
    (package / name).write_text(CODE[name].replace(old, new, 1))
    assert of_top() != before


def test_imports_are_followed_through_rooms(package):
    assert sorted(fingerprint.closure("upper.top")) == [
        *("aside.py", "lower/deep.py", "lower/low.py", "lower/lowest.py", "upper/top.py")
    ]


def test_a_module_that_is_missing_is_an_error(package):
    (package / "lower/deep.py").unlink()
    with pytest.raises(ModuleNotFoundError, match=r"r2mrf\.lower\.deep"):
        of_top()
    with pytest.raises(ModuleNotFoundError, match=r"r2mrf\.upper\.none"):
        fingerprint.of_code("upper.none")


def test_training_depends_on_what_decodes_its_photos():
    """In the project's own code, no room is left out silently."""
    found = fingerprint.closure("training.trainer", "data.batches")
    for file in ("imaging/images.py", "imaging/resize.py", "network/efficientnet_lite.py", "training/optim.py"):
        assert file in found
    assert not any(file.endswith("__init__.py") for file in found)


def test_a_name_depends_on_settings_not_on_their_order():
    assert fingerprint.fingerprint({"a": 1, "b": [2]}, 3) == fingerprint.fingerprint({"b": [2], "a": 1}, 3)
    different = [({"a": 1},), ({"a": 2},), ({"a": "1"},), (1, 2), ([1, 2],), (2, 1)]
    assert len({fingerprint.fingerprint(*parts) for parts in different}) == len(different)


def test_files_are_named_by_their_content(package):
    before = fingerprint.of_files(package.glob("lower/*.py"))
    assert list(before) == ["__init__.py", "deep.py", "low.py", "lowest.py"]
    (package / "lower/low.py").write_text(CODE["lower/low.py"] + " ")
    after = fingerprint.of_files(package.glob("lower/*.py"))
    assert {name for name in before if before[name] != after[name]} == {"low.py"}
