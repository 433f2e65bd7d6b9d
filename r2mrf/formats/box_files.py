"""Files made of boxes (ISO base media: HEIF, AVIF, CR3, JPEG XL): finds the boxes, and checks that files are complete.

HEIF decoders return the tiles that a truncated file still has and leave the others grey, so the lengths are checked
before decoding.
"""

from __future__ import annotations

from collections.abc import Iterator

_MOST_ITEMS = 100_000


def brands(data: bytes) -> list[bytes]:
    """Return the brands of a file of boxes, the major one first; an empty list for any other file."""
    if data[4:8] != b"ftyp":
        return []
    size = min(int.from_bytes(data[:4], "big"), 256)
    return [data[8:12], *(data[i : i + 4] for i in range(16, size - 3, 4))]


def check_boxes(data: bytes) -> None:
    """Refuse a file of boxes that ends inside a box or before the last byte of an item.

    Raises:
        ValueError: the file is cut short.
    """
    if not brands(data):
        return
    for kind, start, end in boxes(data, 0, len(data)):
        if end > len(data):
            raise ValueError(f"cut short: it has {len(data):,} bytes, and its box {kind!r} ends at {end:,}")
        if kind == b"meta":
            for inner, place, stop in boxes(data, start + 4, end):
                if inner == b"iloc" and (reach := max(_ends(data[place:stop]), default=0)) > len(data):
                    raise ValueError(f"cut short: it has {len(data):,} bytes, and its picture ends at {reach:,}")


def boxes(data: bytes, place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start of the content, end) of each box in a range of bytes."""
    while place + 8 <= end:
        size, head = int.from_bytes(data[place : place + 4], "big"), 8
        if size == 1:
            size, head = int.from_bytes(data[place + 8 : place + 16], "big"), 16
        elif size == 0:  # extends to the end of the file
            size = end - place
        if size < head:
            return
        yield data[place + 4 : place + 8], place + head, place + size
        place += size


def _ends(box: bytes) -> Iterator[int]:
    """Yield the position in the file where each extent of the items ends, from the content of an iloc box."""
    version, place = box[0] if box else 0, 4

    def number(size: int) -> int:
        nonlocal place
        place += size
        return int.from_bytes(box[place - size : place], "big")

    sizes = number(2)
    offset_size, length_size, base_size, index_size = ((sizes >> shift) & 15 for shift in (12, 8, 4, 0))
    for _ in range(min(number(2 if version < 2 else 4), _MOST_ITEMS)):
        number(2 if version < 2 else 4)  # item ID
        in_file = version == 0 or number(2) & 15 == 0
        number(2)  # data reference index, 0 for this file
        base, extents = number(base_size), number(2)
        if offset_size + length_size + (index_size if version else 0) == 0:
            extents = min(extents, 1)  # they take no bytes, so the end of the box would not bound their number
        for _ in range(extents):
            if version:
                number(index_size)
            offset, length = number(offset_size), number(length_size)
            if in_file and place <= len(box):
                yield base + offset + length
        if place > len(box):
            return
