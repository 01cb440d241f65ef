"""What tokens cost: prices per million as services publish them, and a person's own."""

import difflib
import functools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tui.host.errors import UserError

_TABLE = Path(__file__).with_name("prices.toml")
_MILLION = 1e6
_DEAREST = 1e6
"""More than any price of a million tokens, in any currency."""
_AMOUNTS = ("input", "output", "cached_input")
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost, in a ``currency`` (ISO 4217): of the prompt (``input``), of the
    prompt as far as the service knew it (``cached_input``; None: as ``input``), of the answer with
    its reasoning (``output``). ``as_of`` is the day (ISO 8601) on which that was so, ``source``
    who says it, ``remark`` what else it depends on."""

    input: float
    output: float
    cached_input: float | None = None
    currency: str = "USD"
    as_of: str = ""
    source: str = ""
    remark: str = ""

    def charge(self, prompt_tokens: float, reused: float, output_tokens: float) -> float:
        """The money for one answer: ``reused`` of its ``prompt_tokens`` were known already."""
        known = min(reused, prompt_tokens)
        cached = self.input if self.cached_input is None else self.cached_input
        asked = (prompt_tokens - known) * self.input + known * cached
        return (asked + output_tokens * self.output) / _MILLION

    def to_json(self) -> dict[str, Any]:
        """The form that stands in a session's header; what is not known is left out."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}

    @classmethod
    def from_json(cls, data: object) -> "Price | None":
        """The price in a session's header; None where there is none, or no price can be so."""
        try:
            return _price("", data) if isinstance(data, Mapping) else None
        except UserError:
            return None


def check_table(own: Mapping[str, Any]) -> None:
    """Check a ``[prices]`` table of ``duibi.toml``.

    Raises:
        UserError: an entry is wrong; names it.
    """
    for name, entry in own.items():
        _price(f"prices.{name}", entry)


def find_price(
    own: Mapping[str, Any], names: Iterable[str], service: str = "", model: str = ""
) -> Price | None:
    """The price of a model: the person's ``own`` one for one of its ``names`` (references, in
    which a key of the table may have ``*``), else the published one of a built-in ``service``
    ("": none). None where neither is known.

    Raises:
        UserError: the own entry is wrong.
    """
    keys = sorted(own, key=len, reverse=True)  # the longest pattern is the closest one
    for name in names:
        for key in keys:
            if fnmatchcase(name, key):
                return _price(f"prices.{key}", own[key])
    for of, pattern, price in _published():
        if of == service and fnmatchcase(model, pattern):
            return price
    return None


@functools.cache
def _published() -> tuple[tuple[str, str, Price], ...]:
    table = tomllib.loads(_TABLE.read_text(encoding="utf-8"))["price"]
    found = []
    for entry in table:
        service, models = entry.pop("service"), entry.pop("models")
        price = _price(f"{_TABLE.name}: {models[0]}", entry)
        found += [(service, pattern, price) for pattern in models]
    return tuple(found)


def _price(where: str, entry: Any) -> Price:
    example = 'e.g. input = 2.5, output = 10.0, currency = "USD": for a million tokens'
    if not isinstance(entry, Mapping):
        raise UserError(f"{where} is not a table", example)
    allowed = [field.name for field in fields(Price)]
    if unknown := next((key for key in entry if key not in allowed), ""):
        near = difflib.get_close_matches(unknown, allowed, 1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"{where}: unknown field '{unknown}'", f"{meant}{', '.join(allowed)}")
    if missing := next((key for key in ("input", "output") if key not in entry), ""):
        raise UserError(f"{where} has no {missing}", example)
    values = {key: _checked(where, key, value) for key, value in entry.items()}
    return Price(**values)


def _checked(where: str, key: str, value: Any) -> Any:
    if key in _AMOUNTS:
        if type(value) not in (int, float) or not 0 <= value <= _DEAREST:
            raise UserError(f"{where}.{key} is {value!r}", "it must be money, 0 or more")
        return float(value)
    if key == "as_of" and isinstance(value, date):
        return value.isoformat()[:10]
    if not isinstance(value, str) or not value.isprintable() or len(value) > _LONGEST:
        raise UserError(f"{where}.{key} is not a short text", 'put it in "quotes"')
    if key == "currency" and not (len(value) == 3 and value.isascii() and value.isupper()):
        raise UserError(f"{where}.currency is {value!r}", "three letters, e.g. USD or CNY")
    return value
