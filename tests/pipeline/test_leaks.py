"""The search for leaks lists copies; listed photos are neither rendered nor labelled."""

import sys
from pathlib import Path

import cv2
import numpy as np

from pipelines.data import sources
from pipelines.jobs import leaks
from r2mrf.imaging import images
from tests.support.box_photos import photo_of_a_box


def save(path: Path, photo: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_jpeg(photo))


def test_copies_are_written_down_and_left_out(tmp_path, monkeypatch, capsys):
    large = [cv2.resize(photo_of_a_box(10 * i), None, fx=2, fy=2) for i in range(4)]
    for i, photo in enumerate(large[:2]):
        save(tmp_path / f"cuhk/image/out_of_focus{i:04d}.jpg", photo)
    save(tmp_path / "sharp/one/images/other.jpg", large[2])
    save(tmp_path / "sharp/one/images/crop.jpg", large[1][50:300, 40:280])
    save(tmp_path / "unlabelled/again.jpg", large[3])
    listed = tmp_path / "left_out.txt"
    listed.write_text("# names\nknown-before  # of another search\n")
    for module in (sources, leaks):
        monkeypatch.setattr(module, "LEFT_OUT", listed)
    monkeypatch.setattr(sys, "argv", ["leaks", "--photos", str(tmp_path), "--sheet", str(tmp_path / "sheet.png")])
    for _ in range(2):  # a second search adds nothing
        leaks.main()
        assert "1 of 3 photos show one of the 2" in capsys.readouterr().out
    assert sources.left_out() == {"known-before", "crop"}
    assert "crop  # out_of_focus0001" in listed.read_text()
    assert [photo.image.name for photo in sources.find_photos(tmp_path)[0]] == ["other.jpg"]
    assert (tmp_path / "sheet.png").is_file()
