"""Decodes JPEGs strictly: damaged pixels are an error, while odd bytes around sound pixels are not.

libjpeg only warns of damage, and only of the first fault, so a harmless oddity in the header would hide damaged pixels.
`tidy` therefore rewrites whatever is known to be harmless, and after that every warning means damage.
"""

from __future__ import annotations

import re

import numpy as np
import simplejpeg

from r2mrf.formats import jpeg_zeros

# Ends a scan's data; stuffed bytes and restart markers do not. Only a pattern that begins with one fixed byte is
# searched for quickly, so the bytes 0xff that may precede a marker are left out.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), (0xC2, 0xCA)
_HUFFMAN = {0xC0, 0xC1, 0xC2}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF0 … SOF15
_TABLES = {0xC4, 0xCC, 0xDB, 0xDC, 0xDD}  # Huffman, arithmetic, quantisation, lines, restart interval
_EOI = b"\xff\xd9"

_FILL = re.compile(rb"\xff{1,1000}")  # bytes before a marker; a file with more of them is not searched further

Walked = dict[int, int | None]  # position of a marker -> what `_frame` returns from there


def decode(data: bytes, space: str, factor: int, height: int, width: int) -> np.ndarray:
    """Decode a JPEG at 1/factor of its size. `space` is RGB or CMYK; returns uint8 H×W×3 or H×W×4.

    Raises:
        ValueError: pixels are damaged or missing, or the data is not a JPEG.
    """
    smallest = {"min_height": -(-height // factor), "min_width": -(-width // factor)} if factor > 1 else {}
    picture = tidy(data)
    try:
        return simplejpeg.decode_jpeg(picture, space, **smallest)
    except ValueError:
        if (unpadded := _without_padding(picture)) == picture:
            raise
        return simplejpeg.decode_jpeg(unpadded, space, **smallest)  # fails if a pixel was among what is removed


def tidy(data: bytes) -> bytes:
    """Return the same picture as a JPEG without anything that libjpeg warns of although it harms no pixel.

    Removed: stray bytes between the segments of the header, application data (broken ICC profiles, unknown versions)
    except what defines the colour space, and everything after the picture. Repaired: odd scan parameters of sequential
    JPEGs, and a missing end marker if the data before it is complete.

    Raises:
        ValueError: the data is not a JPEG, is cut short, or has a hole.
    """
    kept, place, symbols = [b"\xff\xd8"], 2, jpeg_zeros.Symbols()
    frame, sent = 0, dict[int, list[int]]()  # component -> lowest bit known so far of each of its 64 coefficients
    while True:
        place, marker = _next_marker(data, place)
        if marker == 0xD9:
            return b"".join([*kept, _EOI])
        if marker is None:
            if frame in _PROGRESSIVE and any(any(bits) for bits in sent.values()):
                raise ValueError("cut short: finer scans of a progressive JPEG are missing")
            return b"".join([*kept, _EOI])
        if marker in (0x01, 0xD8, *range(0xD0, 0xD8)):  # without a segment
            continue
        size = int.from_bytes(data[place : place + 2], "big")
        body = data[place + 2 : place + size]
        if size < 2 or len(body) != size - 2:
            raise ValueError("cut short in its header")
        place += size
        if marker in _FRAMES:
            frame = marker
            sent = {part: [99] * 64 for part in body[6::3]}
        if marker in _FRAMES | _TABLES:
            if marker == 0xDB and _has_zero(body):
                raise ValueError("zeros in a table of quantisation: a part of the file is lost")
            kept.append(_segment(marker, body))
            symbols |= jpeg_zeros.symbols(body) if marker == 0xC4 else {}
        elif marker == 0xE0 and body[:5] == b"JFIF\0" and frame == 0:
            kept[1:1] = [_segment(marker, b"JFIF\0\1\1\0\0\1\0\1\0\0")]  # a plain header without a thumbnail
        elif marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            kept.append(_segment(marker, body[:11] + bytes([body[11] if body[11] <= 2 else 1])))
        elif marker == 0xDA:
            body = _scan(body, frame, sent)
            end = _end_of_scan(data, place)
            if frame in _HUFFMAN and jpeg_zeros.has_hole(data, place, end, body, symbols, frame in _PROGRESSIVE):
                raise ValueError("zeros amid its pixels: a part of the file is lost")
            kept += [_segment(marker, body), data[place:end]]
            place = end


def dimensions(data: bytes, start: int = 0, walked: Walked | None = None) -> tuple[int, int] | None:
    """Return (height, width) of the 8-bit JPEG with 1 to 4 channels that starts at a position; None if there is none.

    Lossless JPEGs, in which raw files store the sensor's values, do not count.

    Args:
        walked: what searches from other positions of the same data have found; extended by this one. Without it, many
            searches through the same segments take quadratic time.
    """
    place = _frame(data, start, {} if walked is None else walked)
    if place is None:
        return None
    return int.from_bytes(data[place + 1 : place + 3], "big"), int.from_bytes(data[place + 3 : place + 5], "big")


def is_sequential(data: bytes) -> bool:
    """Return whether these bytes are a JPEG that `dimensions` knows, and which decodes row by row."""
    place = _frame(data, 0, {}) if data.startswith(b"\xff\xd8") else None
    return place is not None and data[place - 3] in _SEQUENTIAL


def header(data: bytes) -> bytes:
    """Return a JPEG's header up to its frame, with its size replaced by 8×8 pixels: for programs that read metadata but
    refuse large pictures.

    Raises:
        ValueError: `dimensions` finds none.
    """
    place = _frame(data, 0, {})
    if place is None:
        raise ValueError("no JPEG of 8 bits")
    end = place - 2 + int.from_bytes(data[place - 2 : place], "big")
    return data[: place + 1] + b"\0\x08\0\x08" + data[place + 5 : end] + b"\xff\xda\0\x02"


def _frame(data: bytes, start: int, walked: Walked) -> int | None:
    """Return the position of a frame's facts (bits, height, width, channels) after its segment's length, or None."""
    place, passed, found = start + 2, [], None
    while fill := _FILL.match(data, place):
        place = fill.end()  # of the marker
        if place in walked:
            found = walked[place]
            break
        passed.append(place)
        marker, size = data[place : place + 1], int.from_bytes(data[place + 1 : place + 3], "big")
        if marker in (b"\xc0", b"\xc1", b"\xc2"):
            body = data[place + 3 : place + 1 + size]
            found = place + 3 if len(body) >= 9 and body[0] == 8 and body[5] in (1, 3, 4) else None
            break
        if not marker or marker[0] in _FRAMES or marker in (b"\0", b"\xd8", b"\xd9", b"\xda", b"\xff") or size < 2:
            break
        place += 1 + size
    walked |= dict.fromkeys(passed, found)
    return found


def _next_marker(data: bytes, place: int) -> tuple[int, int | None]:
    """Skip stray bytes; return (position after the next marker, the marker), or (end of the data, None)."""
    while True:
        place = data.find(b"\xff", place)
        if place < 0:
            return len(data), None
        while data[place : place + 1] == b"\xff":
            place += 1
        if place >= len(data):
            return len(data), None
        place += 1
        if data[place - 1]:
            return place, data[place - 1]


def _scan(body: bytes, frame: int, sent: dict[int, list[int]]) -> bytes:
    """Record which coefficients a scan delivers; return its header, corrected if the JPEG is sequential."""
    count = body[0] if body else 0
    if len(body) < 4 + 2 * count:
        raise ValueError("cut short in the header of a scan")
    parts, (first, last, bits) = body[1 : 1 + 2 * count : 2], body[1 + 2 * count : 4 + 2 * count]
    if frame in _SEQUENTIAL:
        first, last, bits = 0, 63, 0
    for part in parts:
        if part in sent and last < 64:
            sent[part][first : last + 1] = [bits & 15] * (last + 1 - first)
    return body[: 1 + 2 * count] + bytes([first, last, bits])


def _end_of_scan(data: bytes, place: int) -> int:
    """Return the end of a scan's data: the next marker, or else a known trailer, or else the end of the file."""
    found = _MARKER.search(data, place)
    end = place + len(data[place : found.start()].rstrip(b"\xff")) if found else len(data)
    if found and found.group()[-1] in {0xD9, 0xDA} | _TABLES:
        return end
    trailer = _samsung_trailer(data)
    if trailer is not None and place < trailer:
        return trailer
    if found and found.group()[-1] < 0xE0:
        raise ValueError(f"a marker 0x{found.group()[-1]:02x} amid its pixels")
    return end


def _samsung_trailer(data: bytes) -> int | None:
    """Return the position of a Samsung phone's trailer, before which the end marker may be missing, or None.

    The trailer ends with a directory (SEFH), the directory's length and "SEFT". The directory says how far before
    itself each block begins.
    """
    if data[-4:] != b"SEFT":
        return None
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    if start < 0 or data[start : start + 4] != b"SEFH":
        return None
    count = min(int.from_bytes(data[start + 8 : start + 12], "little"), 1000)
    entries = (data[start + 12 + 12 * i : start + 24 + 12 * i] for i in range(count))
    back = max((int.from_bytes(entry[4:8], "little") for entry in entries), default=0)
    return start - back if 0 <= back <= start else None


def _without_padding(picture: bytes) -> bytes:
    """Return a JPEG without the zeros before its end marker, except one that belongs to a stuffed byte."""
    body = picture.removesuffix(_EOI).rstrip(b"\0")
    return body + b"\0" * body.endswith(b"\xff") + _EOI


def _has_zero(tables: bytes) -> bool:
    """Return whether one of the divisors in a DQT segment is 0."""
    place = 0
    while place < len(tables):
        width = 2 if tables[place] >> 4 else 1
        divisors = tables[place + 1 : place + 1 + 64 * width]
        if not all(map(any, (divisors[i : i + width] for i in range(0, len(divisors), width)))):
            return True
        place += 1 + 64 * width
    return False


def _segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + (len(body) + 2).to_bytes(2, "big") + body
