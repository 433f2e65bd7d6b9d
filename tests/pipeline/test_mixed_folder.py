"""A folder as a phone, a camera and a NAS leave it: every file that looks like a picture has a row or is counted."""

import io
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from pipelines.scoring import run
from r2mrf.config import Score
from r2mrf.formats import known
from tests.support.picture_files import HEIC, encode, noise, raw_file

PICTURE = noise(120, 160)
JPEG = encode(PICTURE, "JPEG", quality=90)
BIG = encode(noise(720, 960), "JPEG", quality=60)


def jpeg(orientation: int = 1, **options) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(PICTURE, "JPEG", exif=exif, **options)


def frames(form: str) -> bytes:
    file, image = io.BytesIO(), Image.fromarray(PICTURE)
    image.save(file, form, save_all=True, append_images=[image.rotate(90), image.rotate(180)])
    return file.getvalue()


HEIF, JXL = (next(form for form in known.FORMATS if form.name == name) for name in ("HEIF", "JXL"))
SCORED = {  # name -> content
    "DCIM/100APPLE/IMG_0001.JPG": jpeg(6),
    "DCIM/100APPLE/IMG_0002.jpg": JPEG,
    "DCIM/100APPLE/IMG_0003.HEIC": JPEG,  # a cloud's export under the old name
    "DCIM/100APPLE/IMG_0004.PNG": encode(PICTURE, "PNG"),
    "DCIM/Camera/20261129_100000.jpg": JPEG + b"\0" * 8 + b"motion photo, whose film stands behind it",
    "DCIM/Camera/20261129_100001.jpg": JPEG[:-2],  # no end marker
    "DCIM/100CANON/_MG_0001.JPG": BIG,
    "DCIM/100CANON/_MG_0002.CR2": raw_file(BIG, dng=False),
    "DCIM/100CANON/_MG_0003.JPG": jpeg(8, progressive=True),
    "DCIM/101NIKON/DSC_0001.NEF": raw_file(BIG, 6, dng=False),
    "DCIM/101NIKON/DSC_0002.dng": raw_file(BIG),
    "web/photo.jfif": JPEG,
    "web/photo.jpg_large": JPEG,
    "web/photo.webp": encode(PICTURE, "WEBP"),
    "web/photo.avif": encode(PICTURE, "AVIF"),
    "web/moving.gif": frames("GIF"),
    "web/no suffix": JPEG,
    "scans/grey.tif": encode(Image.fromarray(PICTURE[..., 0]), "TIFF"),
    "scans/deep.tiff": encode(Image.fromarray(PICTURE[..., 0].astype(np.uint16) << 4), "TIFF"),
    "scans/print.jpg": encode(Image.fromarray(PICTURE).convert("CMYK"), "JPEG"),
    "scans/old.bmp": encode(PICTURE, "BMP"),
    "scans/three.mpo": frames("MPO"),
    "phone/a sequence.avifs": frames("AVIF"),
    "phone/Zu\u0308rich.jpg": JPEG,  # composed of two characters, as macOS writes it
    f"phone/{'n' * 251}.jpg": JPEG,
    "scans/plan.cmyk.TIFF": encode(Image.fromarray(PICTURE).convert("CMYK"), "TIFF"),
    "scans/page.tif": encode(Image.fromarray(PICTURE[..., 0] > 127), "TIFF"),
}
FAILED = {
    "DCIM/100APPLE/cut.jpg": (JPEG[: len(JPEG) // 2], "corrupt"),
    "DCIM/100APPLE/empty.jpg": (b"", "empty"),
    "DCIM/100CANON/thumbnail only.NEF": (raw_file(None, dng=False), "unsupported"),
    "web/page.jpg": (b"<html>not found</html>", "not_an_image"),
    "web/drawing.jpg": (b"<svg xmlns='x'/>", "unsupported"),
    "web/icon.png": (encode(noise(4, 4), "PNG"), "too_small"),
    "phone/broken card.jpg": (BIG[:20_000] + bytes(4096) + BIG[24_096:], "corrupt"),
    "phone/cut.avif": (encode(PICTURE, "AVIF")[:-50], "corrupt"),
    "scans/cut.tif": (encode(PICTURE, "TIFF")[:5000], "corrupt"),
}
LEFT_OUT = {
    "DCIM/100CANON/_MG_0001.CR2": (raw_file(BIG, dng=False), "raw file beside its JPEG"),
    "DCIM/100APPLE/._IMG_0001.JPG": (b"\0\5\x16\7" + bytes(60), "made by a program"),
    "@eaDir/IMG_0001.JPG/SYNOPHOTO_THUMB_XL.jpg": (JPEG, "made by a program"),
    "#recycle/deleted.jpg": (JPEG, "made by a program"),
    "__MACOSX/._a.jpg": (JPEG, "made by a program"),
    "DCIM/.thumbnails/1.jpg": (JPEG, "made by a program"),
    "scans/layers.psd": (b"8BPS" + bytes(40), "format not read: .psd"),
    "web/logo.svg": (b"<svg/>", "format not read: .svg"),
    "private/secret.jpg": (JPEG, "excluded"),
}
NO_PICTURES = {  # what nobody would call a picture
    "DCIM/100APPLE/IMG_0001.MOV": b"\0\0\0\x14ftypqt  ", "DCIM/100APPLE/IMG_0001.AAE": b"<?xml?>",
    "DCIM/100CANON/_MG_0001.XMP": b"<x:xmpmeta/>", "Thumbs.db": b"\xd0\xcf\x11\xe0", "notes.txt": b"x",
}  # fmt: skip
NO_FILES = ("phone/pipe.jpg", "phone/gone.jpg")  # a FIFO, and a link to nothing


def test_forty_files_of_all_kinds(tiny_model, tmp_path):
    library = tmp_path / "photos"
    optional = {"DCIM/100APPLE/IMG_0005.HEIC": (HEIC, HEIF, None), "phone/cut.heif": (HEIC[:-100], HEIF, "corrupt")}
    if known.is_installed(JXL):
        optional["web/photo.jxl"] = encode(PICTURE, "JXL"), JXL, None
    more = {name: data for name, (data, _, _) in optional.items()}
    files = SCORED | more | NO_PICTURES | {name: data for name, (data, _) in (FAILED | LEFT_OUT).items()}
    assert len(files) >= 40
    for name, data in files.items():
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_bytes(data)
    os.mkfifo(library / "phone/pipe.jpg")
    (library / "phone/gone.jpg").symlink_to("nowhere")
    options = Score(engine="torch", exclude=("private/secret.jpg",))
    summary = run.score([str(library)], tmp_path / "out", str(tiny_model), options, lambda photos: None)
    rows = [row for file in (tmp_path / "out/scores").iterdir() for row in pq.read_table(file).to_pylist()]
    found = {Path(row["path"]).relative_to(library).as_posix(): row["reason"] for row in rows}
    expected = dict.fromkeys(SCORED) | {name: reason for name, (_, reason) in FAILED.items()}
    for name, (_, form, reason) in optional.items():
        expected[name] = reason if known.is_installed(form) else "unsupported"
    expected |= dict.fromkeys(NO_FILES, "not_a_file")
    assert found == expected
    reasons = [reason for _, reason in LEFT_OUT.values()]
    assert summary["left_out"] == {reason: reasons.count(reason) for reason in sorted(set(reasons))}
    counted = len(rows) + sum(summary["left_out"].values()) + len(NO_PICTURES)
    assert counted == len(files) + len(NO_FILES)
    assert summary["ok"] + summary["failed"] == summary["total"] == len(rows)
    assert all(
        row["width"] >= 640 for row in rows if row["path"].endswith((".NEF", ".dng", ".CR2")) and not row["error"]
    )
    partners = {row["path"].rpartition("/")[2]: row["partner"] for row in rows if row["partner"]}
    assert partners == {"_MG_0001.JPG": str(library / "DCIM/100CANON/_MG_0001.CR2")}
