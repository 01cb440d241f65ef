"""What a setting can be: a checked text, number, path, table ..., from a file or a variable."""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal


class InvalidValueError(ValueError):
    """A value that a setting does not take; the text says what it takes."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value.

    ``read`` checks a value and gives it its type (raises `InvalidValueError`); ``from_text``
    makes a value of the text of an environment variable (None: the kind has no variable);
    ``python_type`` is the type that a command line option reads; ``below`` puts a relative
    path of a file's setting below the file's folder.
    """

    read: Callable[[object], Any]
    from_text: Callable[[str], object] | None = None
    python_type: type = str
    below: Callable[[Path, Any], Any] = lambda _folder, value: value


Effect = Literal["answer", "run", "none"]
"""What a setting shapes: the answers; only when and how they are made and shown; nothing of a
session. The first two stand in a session's header, and only the first tells columns of a
report apart."""

OnResume = Literal["refused", "allowed", "compared"]
"""Whether a flag may be given when a run goes on: not; yes; only with the value of the run."""


@dataclass(frozen=True, slots=True)
class Flag:
    """An option of the command line: ``name`` as it is written there. ``value`` is what the
    setting becomes by an option without a value (``--greedy``: ``"greedy"``)."""

    name: str
    help: str
    metavar: str = ""
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Declaration:
    """All that is known of a setting beside its name, type and default. ``names_paths`` says that
    its value is a path, or may be one, ``per_column`` that a column may have its own value."""

    kind: Kind
    flags: tuple[Flag, ...]
    effect: Effect
    on_resume: OnResume
    names_paths: bool
    per_column: bool = False


def setting(
    kind: Kind,
    *flags: Flag,
    effect: Effect,
    on_resume: OnResume = "refused",
    names_paths: bool | None = None,
    per_column: bool = False,
) -> dict[str, Declaration]:
    """The metadata of a dataclass's field that is a setting; every value of the kinds `PATH` and
    `PATHS` is a path (``names_paths``)."""
    is_path = kind in (PATH, PATHS) if names_paths is None else names_paths
    return {"setting": Declaration(kind, flags, effect, on_resume, is_path, per_column)}


def declarations(group: type[Any]) -> dict[str, Declaration]:
    """The settings among the fields of a dataclass, by their names."""
    return {f.name: f.metadata["setting"] for f in fields(group) if f.metadata}


def one_of(*words: str) -> Kind:
    """One of some words."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise InvalidValueError(f"one of {', '.join(words)}")
        return value

    return Kind(read, str)


def whole(low: int, high: int) -> Kind:
    """A whole number of a range, both ends included."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise InvalidValueError(f"a whole number from {low} to {high}")
        return value

    return Kind(read, _number_from_text, int)


def number(low: float, high: float) -> Kind:
    """A number of a range, both ends included."""

    def read(value: object) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:  # type: ignore[operator]
            raise InvalidValueError(f"a number from {low:g} to {high:g}")
        return float(value)  # type: ignore[arg-type]

    return Kind(read, _number_from_text, float)


def _read_text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise InvalidValueError("a text")
    return value


def _read_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidValueError("true or false")
    return value


def _read_path(value: object) -> Path:
    if isinstance(value, Path):
        return value.expanduser()
    if not isinstance(value, str) or not value or "\0" in value:
        raise InvalidValueError("a path")
    try:
        return Path(value).expanduser()
    except RuntimeError:  # ~NAME of a user that is not there
        raise InvalidValueError("a path") from None


def _read_paths(value: object) -> tuple[Path, ...]:
    if not isinstance(value, list | tuple):
        raise InvalidValueError("a list of folders")
    return tuple(_read_path(item) for item in value)


def _read_text_table(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise InvalidValueError("a table of texts")
    return dict(value)


def _read_table_of_tables(value: object) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict) or not all(isinstance(v, dict) for v in value.values()):
        raise InvalidValueError("a table of tables")
    return dict(value)


_AMOUNT = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([A-Za-z]{3})?", re.ASCII)


def _read_amounts(value: object) -> dict[str, float]:
    """Amounts of money by currency ("" without one): 2, "2.00", "2USD, 15CNY", {USD = 2}."""
    wanted = "an amount of money, e.g. 2.00, or one a currency: 2USD,15CNY"
    if isinstance(value, dict):
        pairs = [(str(amount), str(name)) for name, amount in value.items()]
    else:
        parts = [_AMOUNT.fullmatch(part.strip()) for part in str(value).split(",")]
        pairs = [(part[1], part[2] or "") if part else ("", "") for part in parts]
    found: dict[str, float] = {}
    for amount, name in pairs:
        if isinstance(value, bool) or not _AMOUNT.fullmatch(f"{amount}{name}") or name in found:
            raise InvalidValueError(wanted)
        found[name.upper()] = float(amount)
    if not found or ("" in found and len(found) > 1):
        raise InvalidValueError(wanted)
    return found


def _read_dimensions(value: object) -> tuple[str | dict[str, str], ...]:
    wanted = "a list of 1 to 9 names, or of tables with id and en"
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= 9:
        raise InvalidValueError(wanted)
    for item in value:
        words = list(item.values()) if isinstance(item, dict) else [item]
        named = not isinstance(item, dict) or (set(item) <= {"id", "en"} and item.get("id"))
        if not named or not all(isinstance(word, str) and word.strip() for word in words):
            raise InvalidValueError(wanted)
    return tuple(value)


def _flag_from_text(text: str) -> object:
    """True or False; text that is neither stays text, for the message."""
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    return known.get(text.lower(), text)


def _number_from_text(text: str) -> object:
    """The number; text that is none stays text, for the message."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


REPORT_FACTS = (
    *("title", "university", "department", "course", "author", "number", "teacher", "date"),
    "abstract",
)
"""What a person says of a report beside its figures, by the names in ``[report]``."""


def _read_report_facts(value: object) -> dict[str, str]:
    found = _read_text_table(value)
    if not set(found) <= set(REPORT_FACTS):
        raise InvalidValueError(f"a table of texts named {', '.join(REPORT_FACTS)}")
    return found


TEXT = Kind(_read_text, str)
FLAG = Kind(_read_flag, _flag_from_text, bool)
PATH = Kind(_read_path, str, Path, lambda folder, value: folder / value)
PATHS = Kind(_read_paths, below=lambda folder, value: tuple(folder / path for path in value))
TEXT_TABLE = Kind(_read_text_table)
REPORT_TABLE = Kind(_read_report_facts)
SERVICE_TABLES = Kind(_read_table_of_tables)
PRICE_TABLES = Kind(_read_table_of_tables)
AMOUNTS = Kind(_read_amounts, str)
DIMENSIONS = Kind(_read_dimensions)
SAMPLING_KINDS = {
    "temperature": number(0, 10),
    "top_p": number(0, 1),
    "top_k": whole(0, 1 << 20),
    "repetition_penalty": number(0.01, 10),
    "seed": whole(0, (1 << 63) - 1),
}
"""What chooses among the tokens of an answer, by the name of the setting."""
