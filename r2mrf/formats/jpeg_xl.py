"""Reads the size of a JPEG XL picture from its header, because our decoder knows it only after decoding all pixels."""

from __future__ import annotations

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
