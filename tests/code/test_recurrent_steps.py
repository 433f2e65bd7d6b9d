"""Error messages of the example; its pictures are tested with README.md's commands."""

import pytest

from examples import recurrent_steps


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["absent.jpg"], "absent.jpg: unreadable: No such file"), (["--model", "no/such"], "no/such/model.safetensors")],
)
def test_a_line_instead_of_a_traceback(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=words) as left:
        recurrent_steps.main(arguments)
    assert "\n" not in str(left.value)
    assert list(tmp_path.iterdir()) == []
