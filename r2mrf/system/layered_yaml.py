"""Reads a parameter file: YAML, merged over the file that it names as its base. `config` checks the values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from r2mrf.errors import ConfigError
from r2mrf.system.address import is_address, redacted
from r2mrf.system.regular_files import read_regular

MOST_BYTES = 1 << 20


def read(path: Path) -> dict[str, Any]:
    """Return the values of a parameter file, merged section by section over those of its `base` (a relative path).

    Raises:
        ConfigError: this file or a base is missing, is not YAML or has no keys and values, or is its own base.
    """
    layers: list[dict] = []
    seen: set[Path] = set()
    file: Path | None = path
    while file:
        if file.resolve() in seen:
            raise ConfigError(f"{file}: it is its own base, directly or through other files")
        seen.add(file.resolve())
        values = _parsed(file)
        base = values.pop("base", None)
        layers.append(values)
        if is_address(str(base)):
            raise ConfigError(f"{file}: base is an address; give a parameter file of this machine")
        file = file.parent / str(base) if base else None
    merged: dict[str, Any] = {}
    for values in reversed(layers):
        merged = _laid_over(values, merged)
    return merged


class _Loader(yaml.SafeLoader):
    """Refuses a duplicate key, of which YAML would silently take the last; says where a value is not of its type."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError):  # as PyYAML raises for `!!bool x` or a date of month 13
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(None, None, f"not a valid {kind}", node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge" or not isinstance(key.value, str):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} occurs twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _parsed(path: Path) -> dict:
    try:
        values = yaml.load(read_regular(path, MOST_BYTES).decode("utf-8-sig"), _Loader)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such parameter file: run this in the folder of params.yaml") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text: {getattr(error, 'strerror', None) or error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deep") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {_place_and_problem(error)}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: it must consist of keys and values")
    return values


def _place_and_problem(error: yaml.YAMLError) -> str:
    """Say what is wrong and where, without the line itself, which may hold a password."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return redacted(" ".join(str(error).split()))
    return redacted(f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}")


def _laid_over(values: dict, base: dict) -> dict:
    merged = dict(base)
    for key, value in values.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _laid_over(value, base[key]) if both else value
    return merged
