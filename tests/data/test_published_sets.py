"""Every data set keeps one contract, on a tiny set drawn in its own layout."""

from pathlib import Path

import numpy as np
import pytest

from r2mrf.data import pairs
from r2mrf.data.pairs import read_pair
from r2mrf.data.published_sets import PUBLISHED_SETS, match_pairs
from r2mrf.errors import DataError
from r2mrf.imaging import images
from tests.support.drawn_set import HEIGHT, WIDTH, blurred, check_pairs, data, find_pairs, photo, write


class Contract:
    """The contract of a data set. A subclass says how the set is laid out on disk."""

    source: str
    white: str
    train: tuple[tuple[str, str], ...] = ()  # photo and mask, below data.root
    test: tuple[tuple[str, str], ...] = ()

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        for i, (photo_path, mask_path) in enumerate(self.all_files()):
            write(tmp_path / photo_path, photo(i))
            write(tmp_path / mask_path, blurred() if self.white == "defocus" else 255 - blurred())
        self.finish(tmp_path)
        return tmp_path

    def finish(self, root: Path) -> None:
        """Add the files that the set has besides photos and masks."""

    def all_files(self) -> tuple[tuple[str, str], ...]:
        return self.train + self.test

    def find(self, root: Path) -> list[pairs.Pair]:
        return find_pairs(data(self.source, root, self.white))

    def problems(self, root: Path) -> str:
        """Return all errors of a set in one text, one per line."""
        found, problems = match_pairs(data(self.source, root, self.white))
        return "\n".join(problems + check_pairs(found, self.source)[0])

    def test_all_pairs_are_found(self, root):
        found = self.find(root)
        assert [pair.id for pair in found] == sorted({pair.id for pair in found})
        for split in ("train", "test"):
            expected = {(root / image, root / mask) for image, mask in getattr(self, split)}
            assert {(pair.image, pair.mask) for pair in found if pair.split == split} == expected

    def test_set_one_folder_deeper(self, root):
        inner = root / "any name"
        inner.mkdir()
        for path in [path for path in root.iterdir() if path != inner]:
            path.rename(inner / path.name)
        assert len(self.find(root)) == len(self.all_files())

    def test_polarity_is_turned_to_white_is_defocused(self, root):
        for pair in self.find(root):
            image, mask = read_pair(pair)
            assert image == pair.image.read_bytes()
            assert pair.white == self.white
            np.testing.assert_array_equal(images.decode_mask(mask), blurred())

    def test_good_set_has_no_errors(self, root):
        assert self.problems(root) == ""

    def test_other_files_are_ignored(self, root):
        for name in self.all_files()[0]:
            for other in ("Thumbs.db", "readme.txt", ".DS_Store", "._photo.jpg"):
                (root / name).with_name(other).write_bytes(b"no image")
        assert self.problems(root) == ""

    def test_suffixes_may_be_upper_case(self, root):
        for name in self.all_files()[0]:
            (root / name).rename((root / name).with_suffix((root / name).suffix.upper()))
        assert len(self.find(root)) == len(self.all_files())

    @pytest.mark.parametrize("which", [0, 1], ids=["photo", "mask"])
    def test_missing_partner(self, root, which):
        names = self.all_files()[0]
        (root / names[which]).unlink()
        with pytest.raises(DataError) as caught:
            self.find(root)
        assert str(root / names[1 - which]) in str(caught.value)
        assert "no mask" in str(caught.value) if which else "no photo" in str(caught.value)

    @pytest.mark.parametrize("which", [0, 1], ids=["photo", "mask"])
    def test_two_of_one_name(self, root, which):
        path = root / self.all_files()[0][which]
        other = path.with_suffix(".tiff")
        other.write_bytes(path.read_bytes())
        with pytest.raises(DataError) as caught:
            self.find(root)
        assert path.name in str(caught.value)
        assert other.name in str(caught.value)

    def test_truncated_photo(self, root):
        path = root / self.all_files()[0][0]
        path.write_bytes(path.read_bytes()[:-2000])
        assert str(path) in self.problems(root)
        pair = next(pair for pair in self.find(root) if pair.image == path)
        with pytest.raises(DataError, match="not a usable photo"):
            read_pair(pair)

    def test_unreadable_mask(self, root):
        path = root / self.all_files()[0][1]
        path.write_bytes(b"no image at all")
        assert f"{path}: not a usable mask" in self.problems(root)

    def test_mask_of_another_size(self, root):
        path = root / self.all_files()[0][1]
        write(path, blurred(HEIGHT // 2, WIDTH // 2))
        problems = self.problems(root)
        assert str(path) in problems
        assert "64×48" in problems
        assert "128×96" in problems

    def test_inverted_masks_are_refused(self, root):
        for _, name in self.all_files():
            write(root / name, 255 - images.decode_mask((root / name).read_bytes()))
        problems = self.problems(root)
        other = "focus" if self.white == "defocus" else "defocus"
        assert "inverted" in problems
        assert f"data.white: {other}" in problems

    def test_all_problems_at_once(self, root):
        (_, lost), (short, _), (_, small), *_ = self.all_files()
        (root / lost).unlink()
        (root / short).write_bytes((root / short).read_bytes()[:-2000])
        write(root / small, blurred(40, 40))
        lines = self.problems(root).splitlines()
        assert len(lines) == 3
        assert [any(Path(name).stem in line for line in lines) for name in (lost, short, small)] == [True] * 3

    def test_same_photo_for_training_and_testing(self, root):
        if not (self.train and self.test):
            pytest.skip(f"{self.source} in this layout has one split only")
        trained, tested = self.train[0][0], self.test[0][0]
        pixels = images.load(root / trained)
        (root / tested).unlink()
        copy = (root / tested).with_suffix(".png")  # the same pixels in another file
        write(copy, pixels[..., ::-1])
        problems = self.problems(root)
        assert str(root / trained) in problems
        assert str(copy) in problems
        assert "the same photo is in the training set and in the test set" in problems

    def test_missing_folder(self, tmp_path):
        for root in (tmp_path, tmp_path / "absent"):
            with pytest.raises(DataError) as caught:
                self.find(root)
            assert str(root) in str(caught.value)
            assert PUBLISHED_SETS[self.source].layouts[0].parts[0].images[0] in str(caught.value)
            assert "data.root" in str(caught.value)

    def test_folder_of_masks_is_missing(self, root):
        folder = (root / self.all_files()[0][1]).parent
        folder.rename(root / "elsewhere")
        with pytest.raises(DataError, match="no such folder"):
            self.find(root)

    def test_folder_without_photos(self, root):
        for name in (name for names in self.all_files() for name in names):
            (root / name).unlink()
        with pytest.raises(DataError, match="no photos"):
            self.find(root)


class TestCuhk(Contract):
    source, white = "cuhk", "defocus"
    train = tuple((f"image/out_of_focus{i:04d}.jpg", f"gt/out_of_focus{i:04d}.png") for i in (1, 2, 704))
    test = (
        ("image/out_of_focus0026.JPG", "gt/out_of_focus0026.png"),
        ("image/out_of_focus0037.jpg", "gt/out_of_focus0037.png"),
    )

    def finish(self, root):
        write(root / "image/motion0001.jpg", photo(99))  # and no mask: it is not looked at

    def test_photos_of_motion_blur_are_left_out(self, root):
        assert not [pair for pair in self.find(root) if "motion" in pair.id]

    def test_incomplete_set_is_warned_of(self, root):
        assert "604 and 100" in " ".join(check_pairs(self.find(root), "cuhk")[1])


class TestCuhkRenumbered(Contract):
    source, white = "cuhk", "focus"
    test = tuple((f"xu100-source/{i}.bmp", f"xu100-gt/{i}.bmp") for i in (1, 2, 10))


class TestDut(Contract):
    source, white = "dut", "focus"
    train = tuple((f"DUT600S_Training/{i}.jpg", f"DUT600GT_Training/{i}.bmp") for i in (1, 2, 3))
    test = tuple((f"DUT500S-Testing/{i}.jpg", f"DUT500GT-Testing/{i}.bmp") for i in (1, 2))


class TestDutForTesting(Contract):
    source, white = "dut", "focus"
    test = tuple((f"image/{i}.jpg", f"gt/{i}.png") for i in (1, 2, 3))


class TestCtcug(Contract):
    source, white = "ctcug", "defocus"
    test = tuple((f"CTCUG_images/{i}.jpg", f"CTCUG_gt/{i}.png") for i in (1, 2, 3))


class TestCtcugShort(Contract):
    source, white = "ctcug", "defocus"
    test = tuple((f"Imgs/{i}.jpg", f"GT/{i}.png") for i in (1, 2, 3))


class TestEbd(Contract):
    source, white = "ebd", "focus"
    test = tuple((f"image/{i}.jpg", f"gt/{i}.png") for i in (1, 2, 3))


class TestPairsInTwoFolders(Contract):
    source, white = "pairs", "focus"
    train = tuple((f"train/image/{i}.png", f"train/mask/{i}.png") for i in "abc")
    test = tuple((f"test/image/{i}.jpeg", f"test/mask/{i}.png") for i in "ab")


class TestPairsWithList(Contract):
    source, white = "pairs", "defocus"
    train = tuple((f"image/my photo {i}.jpg", f"mask/my photo {i}.png") for i in "123")
    test = (("image/Ünter.jpg", "mask/Ünter.png"), ("image/v1.2.jpg", "mask/v1.2.png"))

    def finish(self, root):
        (root / "test.txt").write_text("U\u0308nter\n\nv1.2.JPG \n", encoding="utf-8")  # decomposed; a suffix

    def test_unknown_name_in_the_list(self, root):
        (root / "test.txt").write_text("v1.2\nnobody\n", encoding="utf-8")
        with pytest.raises(DataError, match="nobody"):
            self.find(root)

    def test_missing_list(self, root):
        (root / "test.txt").unlink()
        with pytest.raises(DataError, match=r"test\.txt: missing"):
            self.find(root)


def test_two_copies_in_root_are_not_guessed_between(tmp_path):
    for copy in ("one", "two"):
        (tmp_path / copy / "image").mkdir(parents=True)
    with pytest.raises(DataError, match="more than once") as caught:
        find_pairs(data("ebd", tmp_path))
    assert str(tmp_path / "one") in str(caught.value)
