"""Reads size and metadata of a JPEG XL picture, which our decoder knows only after decoding all pixels."""

from __future__ import annotations

from r2mrf.formats import box_files

CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"  # how a file with boxes begins; one without begins with the picture
_TIFF = (b"II*\0", b"MM\0*")
_MOST = 1 << 20  # bytes of metadata that are decompressed

_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height
_LENGTHS = (9, 13, 18, 30)  # numbers of bits in which a side may be stored


def dimensions(data: bytes) -> tuple[int, int]:
    """Return (height, width) of a JPEG XL picture, with or without boxes around it (ISO/IEC 18181-1, SizeHeader).

    Raises:
        ValueError: the data has no such header.
    """
    start = 0
    if data[:2] != b"\xff\x0a":
        box = max(data.find(b"jxlc", 0, 1 << 20), data.find(b"jxlp", 0, 1 << 20))
        start = data.find(b"\xff\x0a", box) if box > 0 else -1
    head = data[start + 2 : start + 14]
    if start < 0 or len(head) < 12:
        raise ValueError("a JPEG XL file without a picture")
    bits, place = int.from_bytes(head, "little"), 0

    def number(count: int) -> int:
        nonlocal place
        place += count
        return bits >> (place - count) & ((1 << count) - 1)

    def side() -> int:
        return 8 * (1 + number(5)) if is_small else 1 + number(_LENGTHS[number(2)])

    is_small = number(1)
    height = side()
    ratio = number(3)
    width = height * _RATIOS[ratio - 1][0] // _RATIOS[ratio - 1][1] if ratio else side()
    return height, width


def exif(data: bytes) -> bytes:
    """Return a picture's EXIF as a TIFF structure; empty if it has none."""
    content = metadata(data, b"Exif")
    if content[:4] in _TIFF:  # some programs leave out the number of bytes before the structure
        return content
    return content[4 + int.from_bytes(content[:4], "big") :]


def metadata(data: bytes, kind: bytes) -> bytes:
    """Return the content of the first box of this kind (`Exif`, `xml `), decompressed; empty if there is none.

    Compressed boxes (ISO/IEC 18181-2, `brob`) are read if the package brotli is installed.
    """
    if not data.startswith(CONTAINER):
        return b""
    for name, start, end in box_files.boxes(data, 0, len(data)):
        if name == kind:
            return data[start:end]
        if name == b"brob" and data[start : start + 4] == kind:
            return _decompressed(data[start + 4 : end])
    return b""


def _decompressed(content: bytes) -> bytes:
    try:
        import brotli
    except ImportError:  # without it, the picture can still be read
        return b""
    try:
        return brotli.Decompressor().process(content, output_buffer_limit=_MOST)
    except (brotli.error, TypeError):  # damaged; or a version before 1.2, whose output cannot be limited
        return b""
