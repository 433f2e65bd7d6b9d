"""Turns the texts of arguments into values. What cannot be one is refused by a sentence (`ArgumentTypeError`)."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from r2mrf.system.address import Address, is_address

MOST_PIXELS = 178_000_000  # this limit and the next are those of `config.Score`
LONGEST_PAUSE = 86_400  # seconds


def port(text: str) -> int:
    """Return the number of a port; 0 = any free one."""
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text}: give a number from 0 to 65535")
    return int(text)


def pixels(text: str) -> int:
    """Return a limit on the pixels of a photo."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= MOST_PIXELS):
        raise argparse.ArgumentTypeError(f"{text}: give a number of pixels from 1 to {MOST_PIXELS}")
    return int(text)


def seconds(text: str) -> float:
    """Return the seconds after which a run looks for new photos again."""
    try:
        pause = float(text)
    except ValueError:
        pause = 0.0
    if not 0 < pause <= LONGEST_PAUSE:
        raise argparse.ArgumentTypeError(f"{text}: give a number of seconds, above 0 and up to {LONGEST_PAUSE}")
    return pause


def two_values(text: str) -> tuple[int, int]:
    """Return the values that mean black and white in a mask, 0 to 255."""
    black, comma, white = text.partition(",")
    if not (
        comma
        and black.isdecimal()
        and white.isdecimal()
        and int(black) != int(white)
        and max(int(black), int(white)) < 256
    ):
        raise argparse.ArgumentTypeError(f"{text!r}: give two different numbers from 0 to 255, as in 0,1")
    return int(black), int(white)


def address(text: str) -> str:
    """Return an address, refusing local paths."""
    if not is_address(text):
        raise argparse.ArgumentTypeError("not an address: give one like s3://bucket/photos")
    return text


def not_empty(kind: Callable[[str], object]) -> Callable[[str], object]:
    """Return a type of arguments that refuses an empty text: `"$UNSET"` would be the current folder."""

    def read(text: str) -> object:
        if not text:
            raise argparse.ArgumentTypeError("empty: give a path or a name")
        return kind(text)

    return read


def folder(text: str) -> Path:
    """Return a local folder, refusing addresses: `Path` would take one for a folder called s3:."""
    if is_address(text):
        raise argparse.ArgumentTypeError(f"{text} is an address, but the table is written to a local folder")
    return Path(text)


def file(text: str) -> Path:
    """Return a local path, refusing addresses."""
    if is_address(text):
        raise argparse.ArgumentTypeError(f"{text} is an address: give a local file or folder")
    return Path(text)


def server(text: str) -> str:
    """Return a pattern of servers or buckets, refusing any other text."""
    if not is_address(text) or Address.parse(text).user:
        raise argparse.ArgumentTypeError(f"{text}: give a server or bucket, like https://example.org or 's3://*'")
    return text


def fields(text: str) -> tuple[str, ...]:
    """Return the names of labels, separated by commas."""
    from pipelines.report.labels import FIELDS

    return _chosen(text, FIELDS)


def verdicts(text: str) -> tuple[str, ...]:
    """Return verdicts, or `failed`, separated by commas."""
    from r2mrf.prediction.focus import VERDICTS

    return _chosen(text, (*VERDICTS, "failed"))


def _chosen(text: str, choices: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a comma-separated list, each of which must be in `choices`."""
    words = tuple(text.split(","))
    if not set(words) <= set(choices):
        raise argparse.ArgumentTypeError(f"{text}: choose from {', '.join(choices)}, separated by commas")
    return words
