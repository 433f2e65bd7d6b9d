"""The options of one command while they are being added, among them those that several commands have."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from pipelines.command.grammar import argument_types


class Options:
    """Adds options to the parser of a command, and notes for which ones a shell completes file names."""

    def __init__(self, command: argparse.ArgumentParser, paths: list[argparse.Action]):
        self._command, self._paths = command, paths

    def add(self, *names: str, **settings) -> argparse.Action:
        """Add an option, as `ArgumentParser.add_argument` does."""
        return self._command.add_argument(*names, **settings)

    def add_path(self, *names: str, type: Callable[[str], object] = argument_types.file, **settings) -> None:
        """Add an option whose value is a file, a folder, or what `type` returns; it must not be empty."""
        self._paths.append(self.add(*names, type=argument_types.not_empty(type), **settings))

    def add_model(self) -> None:
        """Add --model."""
        self.add_path("--model", type=str, default="lite", help="model folder, models:/NAME@ALIAS, or lite (default)")

    def add_soft_above(self) -> None:
        """Add --soft-above."""
        self.add(
            "--soft-above", type=float, metavar="RADIUS",
            help="soft: even the sharpest place is blurred by more than this many pixels (needs --detail in score)",
        )  # fmt: skip
