"""YAML of others as plain data: texts, lists and tables."""

import math
from collections.abc import Mapping
from pathlib import Path

import yaml

from tui.host.errors import UserError

MAX_BYTES = 256 << 10
"""The parser takes seconds for it."""
_MAX_WRITTEN_OUT = 16 << 20


def parse(text: str, path: Path) -> object:
    """A document; every value is text, as YAML's own types make ``no`` out of a country.

    Raises:
        UserError: it is not YAML, or its aliases repeat more than a file may hold.
    """
    try:
        data = yaml.load(text, yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path}{line}: not YAML", "mend it there") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise UserError(f"{path}: not YAML", "it holds signs YAML forbids, or too deep") from None
    _refuse_repetition(data, path)
    return data


def _refuse_repetition(data: object, path: Path) -> None:
    """An alias within an alias can stand for more than any memory holds, or for itself."""
    if _written_out(data, {}) > _MAX_WRITTEN_OUT:
        raise UserError(f"{path}: its aliases repeat too much", "write the texts out")


def _written_out(one: object, known: dict[int, float]) -> float:
    """Characters and nodes without aliases; each node is looked at once, however often it is
    meant. ``known``: of the nodes so far, by identity."""
    if isinstance(one, str):
        return len(one) + 1
    if id(one) in known:
        return known[id(one)]
    known[id(one)] = math.inf  # as an alias within itself stands for
    size = 1.0
    parts = [*one, *one.values()] if isinstance(one, Mapping) else one
    for part in parts if isinstance(parts, list) else ():
        size += _written_out(part, known)
    known[id(one)] = size
    return size
