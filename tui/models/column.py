"""Columns: a model with settings of its own, written ``MODEL?NAME=VALUE&NAME=VALUE``.

``name`` heads the column; every other name is a setting of `tui.options.RunOptions` that is asked
for with each answer, so that columns of one checkpoint share its weights. A value may be
percent-encoded; ``system=file:PATH`` is what stands in that file.
"""

import difflib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from tui.host import foreign_files, paths
from tui.host.errors import UserError
from tui.models.reference import settings_start
from tui.models.typed import split_label
from tui.options import RunOptions
from tui.setting_kinds import InvalidValueError, declarations
from tui.text.width import clip

COLUMN_SETTINGS = {name: one for name, one in declarations(RunOptions).items() if one.per_column}
"""The settings that a column may have for itself."""
MOST_COLUMNS = 16
"""Columns that one command line can ask for by `vary`."""
_NAME = "name"
_FILE = "file:"
_MAX_FILE_BYTES = 1 << 20
_SHOWN_CELLS = 18
_PLAIN = " /:~.,;!?()+'\"" + "".join(map(chr, range(0x3000, 0xA000)))
"""Characters that need no percent-encoding: Chinese is read as it stands."""


@dataclass(frozen=True, slots=True)
class ColumnText:
    """What a person wrote of a column: ``label`` ("": none), ``model`` (a reference or an alias)
    and the texts of its settings by name."""

    label: str
    model: str
    settings: dict[str, str] = field(default_factory=dict)


def split_column(text: str) -> ColumnText:
    """The parts of ``LABEL=MODEL?NAME=VALUE&...``; in a URL the settings stand after its ``#``.

    Raises:
        UserError: a setting that a column does not have, or one given twice.
    """
    label, text = split_label(text)
    start = settings_start(text)
    if start < 0:
        return ColumnText(label, text)
    settings = split_settings(text[start + 1 :])
    own = settings.pop(_NAME, "")
    return ColumnText(label or own, text[:start], settings)


_NEAR = 0.75
"""How much of a name must be alike for it to be the one that was meant."""


def split_settings(text: str) -> dict[str, str]:
    """The texts of ``NAME=VALUE&NAME=VALUE``, by name.

    Raises:
        UserError: a setting that a column does not have, or one given twice.
    """
    given: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        name, _, value = part.partition("=")
        name = name.strip().replace("-", "_")
        if name != _NAME and name not in COLUMN_SETTINGS:
            known = (*COLUMN_SETTINGS, _NAME)
            near = difflib.get_close_matches(name, known, 1, _NEAR)
            meant = f"did you mean {near[0]}? " if near else ""
            raise UserError(
                f"a column has no setting '{name}'", f"{meant}known: {', '.join(known)}"
            )
        if name in given:
            raise UserError(f"{name} is given twice", "give it once for a column")
        given[name] = unquote(value)
    return given


def read_settings(given: Mapping[str, str]) -> dict[str, Any]:
    """The checked values of settings that a person wrote.

    Raises:
        UserError: a value that the setting does not take, or a file that cannot be read.
    """
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name == "system" and text.startswith(_FILE):
            file = paths.expand(text.removeprefix(_FILE))
            hint = "give a text file: system=file:PATH"
            values[name] = foreign_files.read_text(file, _MAX_FILE_BYTES, hint).strip()
            continue
        convert = COLUMN_SETTINGS[name].kind.from_text
        values[name] = convert(text) if convert else text
    return check_settings(values)


def check_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings, checked: of a session's header anything may be said.

    Raises:
        UserError: there is no such setting, or it does not take the value.
    """
    checked = {}
    for name, value in values.items():
        if name not in COLUMN_SETTINGS:
            raise UserError(f"a column has no setting '{name}'", "begin a new session")
        try:
            checked[name] = COLUMN_SETTINGS[name].kind.read(value)
        except InvalidValueError as error:
            raise UserError(f"{name}={value} cannot be used", f"it takes {error}") from None
    return checked


def write_settings(values: Mapping[str, Any]) -> str:
    """Those of some settings that a column may have and that are not what they are anyway, as a
    person would write them."""
    usual = RunOptions()
    written = {
        name: f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in values.items()
        if name in COLUMN_SETTINGS and value != getattr(usual, name)
    }
    return "&".join(f"{name}={quote(value, safe=_PLAIN)}" for name, value in written.items())


def vary(models: Sequence[str], axes: Sequence[str]) -> list[str]:
    """Each model with each combination of the values that ``axes`` (``NAME=VALUE,VALUE``) list.
    The values of ``system`` are files.

    Raises:
        UserError: an axis of another form, or more columns than `MOST_COLUMNS`.
    """
    listed = [_read_axis(axis) for axis in axes]
    made = []
    for model in models:
        sign = "&" if settings_start(model) >= 0 else "?"
        for combination in itertools.product(*listed):
            made.append(f"{model}{sign}{'&'.join(combination)}" if combination else model)
    if listed and len(made) > MOST_COLUMNS:
        raise UserError(
            f"--vary would make {len(made)} columns of {len(models)} models",
            f"vary less: {MOST_COLUMNS} columns at most",
        )
    return made


def _read_axis(text: str) -> list[str]:
    name, equals, values = text.partition("=")
    listed = [value.strip() for value in values.split(",") if value.strip()]
    if not equals or not listed:
        raise UserError(f"--vary {text} lists no values", "e.g. --vary temperature=0,0.7")
    if name == "system":
        listed = [value if value.startswith(_FILE) else _FILE + value for value in listed]
    pairs = [f"{name}={quote(value, safe=_PLAIN)}" for value in listed]
    split_settings(pairs[0])
    return pairs


def describe_settings(values: Mapping[str, Any]) -> str:
    """Settings in short, as a heading names them: ``temperature=0.7 seed=3``."""
    return " ".join(f"{name}={_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return clip(" ".join(str(value).split()), _SHOWN_CELLS)


def column_labels(bases: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A heading for each column: its model's (``bases``), and those of its settings in which it
    differs from the other columns of that model; one alone names all of them."""
    made = []
    for base, own in zip(bases, settings, strict=True):
        others = [s for b, s in zip(bases, settings, strict=True) if b == base]
        differing = {
            name: value
            for name, value in own.items()
            if len(others) == 1 or any(other.get(name) != value for other in others)
        }
        made.append(f"{base} {describe_settings(differing)}".rstrip())
    return made
