"""Remembers what a run found out about a model and its engines, so that later ones start at once and without torch.

Every key holds all that the answer depends on: the model, this code, the versions of the runtimes, the processor.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from r2mrf import __version__
from r2mrf.engine_names import ENGINES, PRECISIONS
from r2mrf.system import strict_json, user_cache
from r2mrf.system.fingerprint import fingerprint, of_rooms
from r2mrf.system.machine import processor

PACKAGES = ("torch", "onnx", "onnxruntime", "openvino", "timm")


@cache
def _code() -> list:
    return [__version__, of_rooms("network", "engines"), [_version(name) for name in PACKAGES]]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def is_sound(sha256: str) -> bool:
    """Return whether a model was found sound before: its weights fit its architecture, and are finite numbers."""
    return user_cache.recall("sound", fingerprint("sound", sha256, _code())) is not None


def note_sound(sha256: str) -> None:
    """Remember that a model is sound."""
    user_cache.remember("sound", fingerprint("sound", sha256, _code()), b"")


def graph(sha256: str, make: Callable[[], bytes]) -> bytes:
    """Return the graph of a model in float32, an ONNX file; `make` writes it if it is not remembered."""
    found = user_cache.recall("graphs", _key_of_graph(sha256))
    if found is None:
        note_graph(sha256, found := make())
    return found


def note_graph(sha256: str, content: bytes) -> None:
    """Remember the graph of a model in float32."""
    user_cache.remember("graphs", _key_of_graph(sha256), content)


def _key_of_graph(sha256: str) -> str:
    return fingerprint("graph", sha256, _code())


def choice(*asked: object) -> tuple[str, str] | None:
    """Return the engine and precision that an earlier trial on this machine chose, or None.

    Args:
        asked: everything that the choice depends on besides machine and code, as values that JSON can hold.
    """
    found = user_cache.recall("choices", _key_of_choice(asked))
    try:
        engine, precision = strict_json.parse(found or "null")
    except (TypeError, ValueError):
        return None
    return (engine, precision) if engine in ENGINES and precision in PRECISIONS else None


def note_choice(engine: str, precision: str, *asked: object) -> None:
    """Remember the engine and precision that a trial has chosen; `asked` as in `choice`."""
    user_cache.remember("choices", _key_of_choice(asked), json.dumps([engine, precision]).encode())


def _key_of_choice(asked: tuple) -> str:
    return fingerprint("choice", asked, processor(), _code())
