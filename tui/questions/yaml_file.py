"""YAML of others as plain data: texts, lists and tables."""

from collections.abc import Mapping
from pathlib import Path

import yaml

from tui.host.errors import UserError

MAX_BYTES = 256 << 10
"""The parser takes seconds for it."""
_MAX_WRITTEN_OUT = 16 << 20
_MAX_PARTS = 1 << 18
"""Lists, tables and texts, each as often as it is repeated: more than a file of `MAX_BYTES` holds
by itself."""


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
    size = parts = 0
    left = [data]
    while left:
        one = left.pop()
        parts += 1
        size += len(one) if isinstance(one, str) else 0
        if size > _MAX_WRITTEN_OUT or parts > _MAX_PARTS:
            raise UserError(f"{path}: its aliases repeat too much", "write the texts out")
        if isinstance(one, Mapping):
            left += [*one, *one.values()]
        elif isinstance(one, list):
            left += one
