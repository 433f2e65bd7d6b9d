"""Finds zero bytes in a JPEG's pixel data that no encoder writes: a hole in the file, a sector that a card has lost.

libjpeg decodes zeros like any other data. Whether they can be sound follows from the symbol whose Huffman code is all
zeros: blocks without detail may be coded so, and then a long run of zeros is a plain area. Any other symbol would
repeat the same negative coefficient all over the spectrum of many blocks in a row, which no picture does.
"""

from __future__ import annotations

SHORTEST = {False: 64, True: 512}  # zero bytes that count as a hole; True: in a progressive JPEG, with small blocks
Symbols = dict[int, int]  # class (0: DC, 1: AC) times 16 plus number of a Huffman table -> its symbol of zeros


def symbols(tables: bytes) -> Symbols:
    """Return the symbols that zeros stand for, by table, in the body of a DHT segment."""
    found, place = Symbols(), 0
    while place + 17 < len(tables):
        found[tables[place]] = tables[place + 17]
        place += 17 + sum(tables[place + 1 : place + 17])
    return found


def has_hole(data: bytes, start: int, end: int, scan: bytes, known: Symbols, progressive: bool) -> bool:
    """Return whether a scan's data, data[start:end], has zeros that cannot be sound.

    Args:
        scan: body of the SOS segment.
        known: symbols of all Huffman tables so far.
    """
    if data.find(bytes(SHORTEST[progressive]), start, end) < 0:
        return False
    tables, first, refines = scan[2 : 1 + 2 * scan[0] : 2], scan[-3], scan[-1] >> 4
    if progressive and first == 0:  # the mean brightness of blocks; its finer bits are not Huffman codes
        return not refines and any(known.get(table >> 4, 0) for table in tables)
    detail = (known.get(16 + (table & 15), 0) for table in tables)
    return any(symbol & 15 or symbol == 0xF0 for symbol in detail)  # neither the end of a block nor of several
