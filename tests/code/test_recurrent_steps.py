"""Error messages of the example; its pictures are tested with README.md's commands."""

import sys

import pytest

from examples import recurrent_steps
from r2mrf.system import missing


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["absent.jpg"], "absent.jpg: unreadable: No such file"), (["--model", "no/such"], "no/such: no such model")],
)
def test_a_line_instead_of_a_traceback(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=words) as left:
        recurrent_steps.main(arguments)
    assert "\n" not in str(left.value)
    assert list(tmp_path.iterdir()) == []


def test_says_what_to_install_where_torch_alone_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SystemExit) as left:
        recurrent_steps.main(["--out", str(tmp_path / "steps")])
    assert left.value.code == 2
    asked = f"`examples/recurrent_steps.py` needs torch, which is not installed: `{missing.install('[score]')}`\n"
    assert capsys.readouterr().err == asked
    assert list(tmp_path.iterdir()) == []
