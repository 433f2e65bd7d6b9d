"""Image formats: which ones are read, by which package and under which suffixes, and what a file's first bytes say."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache

from r2mrf.formats import jpeg_xl
from r2mrf.formats.box_files import brands


@dataclass(frozen=True)
class Format:
    """An image format that is read.

    Attributes:
        name: shown to people; the name of Pillow's plugin, if Pillow reads the format.
        suffixes: in lower case; used to find files in folders. The content of a file decides its format.
        package: module of an optional package that adds the format to Pillow; None if none is needed.
    """

    name: str
    suffixes: tuple[str, ...]
    package: str | None = None


# All other formats are refused: some have almost no signature (TGA), some start a program (EPS) or hide a second
# header (ICNS).
FORMATS = (
    Format("AVIF", (".avif", ".avifs")),
    Format("BMP", (".bmp", ".dib")),
    Format("GIF", (".gif",)),
    Format("HEIF", (".heic", ".heif", ".hif", ".heics", ".heifs"), "pi_heif"),
    Format("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".pjpeg", ".pjp", ".jpg_large", ".mpo")),
    Format("JPEG2000", (".jp2", ".j2k")),
    Format("JXL", (".jxl",), "pillow_jxl"),
    Format("PNG", (".png",)),
    Format("PPM", (".ppm", ".pgm", ".pbm", ".pnm")),
    Format("TIFF", (".tif", ".tiff")),
    Format("WEBP", (".webp",)),
    # Of a raw file, the largest JPEG that the camera embedded is read (`raw_files`).
    Format("RAW", (".cr2", ".cr3", ".nef", ".nrw", ".arw", ".dng", ".raf", ".orf", ".rw2", ".pef", ".srw")),
)
SUFFIXES = frozenset(suffix for form in FORMATS for suffix in form.suffixes)
RAW_SUFFIXES = frozenset(next(form for form in FORMATS if form.name == "RAW").suffixes)

# Suffixes of pictures that are not read, with a description by which folders count them.
UNREAD = {
    ".psd": "a Photoshop file",
    ".psb": "a Photoshop file",
    ".xcf": "a GIMP file",
    ".svg": "a drawing (SVG)",
    ".eps": "a drawing (PostScript)",
    ".ai": "a drawing (Illustrator)",
    ".ico": "an icon",
    ".icns": "an icon",
    ".tga": "a Targa file",
    ".exr": "an OpenEXR file",
    ".hdr": "a Radiance file",
    ".pfm": "an image of floats (PFM)",
    ".dds": "a texture (DDS)",
    ".crw": "a raw file of a kind that is not read (CRW)",
    ".x3f": "a raw file of a kind that is not read (X3F)",
    ".mrw": "a raw file of a kind that is not read (MRW)",
    ".iiq": "a raw file of a kind that is not read (IIQ)",
    ".3fr": "a raw file of a kind that is not read (3FR)",
}

_SIGNATURES = {
    b"8BPS": UNREAD[".psd"],
    b"gimp xcf": UNREAD[".xcf"],
    b"<svg": UNREAD[".svg"],
    b"%!PS": UNREAD[".eps"],
    b"%PDF": "a PDF document",
    b"\0\0\1\0": UNREAD[".ico"],
    b"icns": UNREAD[".icns"],
    b"v/1\x01": UNREAD[".exr"],
    b"#?RADIANCE": UNREAD[".hdr"],
    b"DDS ": UNREAD[".dds"],
    b"II\x1a\0\0\0HEAPCCDR": UNREAD[".crw"],
    b"FOVb": UNREAD[".x3f"],
    b"\0MRM": UNREAD[".mrw"],
    b"\x1aE\xdf\xa3": "a film (Matroska)",
}
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2"}
_AVIF = {b"avif", b"avis"}


def optional(data: bytes) -> Format | None:
    """Return the format of these bytes if it needs an optional package, else None."""
    found = brands(data)
    if found and _HEIF & set(found) and not _AVIF & set(found):
        return _named("HEIF")
    if data.startswith((b"\xff\x0a", jpeg_xl.CONTAINER)):
        return _named("JXL")
    return None


def unread(data: bytes) -> str | None:
    """Describe these bytes if they are a known kind of file that is not read here; else return None."""
    if found := brands(data):
        return None if (_HEIF | _AVIF | {b"crx "}) & set(found) else "a film (MP4 or QuickTime)"
    return next((name for signature, name in _SIGNATURES.items() if data.startswith(signature)), None)


@cache
def is_installed(form: Format) -> bool:
    """Return whether a format can be read here. This imports its optional package and registers it with Pillow."""
    if form.package is None:
        return True
    try:
        module = importlib.import_module(form.package)
    except ImportError:
        return False
    if form.name == "HEIF":
        # one thread, because each reader has one core; thumbnails, depth maps and other extras are ignored
        module.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    return True


def _named(name: str) -> Format:
    return next(form for form in FORMATS if form.name == name)
