"""What a person can choose: flags > environment (``DUIBI_*``) > ``duibi.toml`` > defaults.

``duibi.toml`` is read from the current folder and from the user's config folder; where
both have a key, the current folder wins. Keys of services never come from a file.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tui import services
from tui.host import paths
from tui.host.errors import UserError

FILE_NAME = "duibi.toml"
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one start of the program. None leaves it to the model.

    ``context`` bounds prompt and answer together, in tokens (None: the model's own bound,
    while memory is planned for a conversation of common length);
    ``sampling`` is ``model`` (the checkpoint's own way), ``greedy`` or ``sample``;
    ``schedule`` is ``auto`` (what fits in memory is held together), ``together`` or
    ``one-at-a-time``; ``batch`` is how many answers of a question set a model here decodes
    together at most (None: as many as memory allows, up to 8);
    ``lookup`` guesses tokens from the prompt (same text, sooner where an answer repeats it);
    ``sessions`` is where runs are recorded (None: the usual folder); ``model_folders``
    are further folders below which checkpoints are looked for;
    ``pasted`` is a file with the answers of models that a person pastes
    (`tui.engines.pasted.read_pasted`); ``output`` is ``cells`` (only what changed on the
    screen is written) or ``stock`` (Textual's own way); ``pictures`` of the screen are ``svg``
    or ``png``; ``dimensions`` are what answers
    are judged in where the question set names none; ``aliases`` maps a word to a model
    reference, ``keys`` a binding's id to keys, ``services`` a name to what
    `tui.services` says of one.
    """

    questions: str = "tongji"
    system: str | None = None
    max_new_tokens: int = 512
    context: int | None = None
    sampling: str = "model"
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    repeat: int = 1
    batch: int | None = None
    lookup: bool = False
    schedule: str = "auto"
    blind: bool = False
    theme: str = "duibi-dark"
    lang: str = "en"
    sessions: Path | None = None
    pasted: Path | None = None
    model_folders: tuple[Path, ...] = ()
    mouse: bool = False
    output: str = "cells"
    pictures: str = "svg"
    remote_code: bool = False
    plain: bool = False
    aliases: dict[str, str] = field(default_factory=dict)
    dimensions: tuple[str | dict[str, str], ...] | None = None
    keys: dict[str, str] = field(default_factory=dict)
    services: dict[str, dict[str, Any]] = field(default_factory=dict)

    def of_run(self) -> dict[str, Any]:
        """What of it shapes the answers, for the head of a session."""
        names = (
            *("system", "max_new_tokens", "context", "sampling", "temperature", "top_p", "top_k"),
            *("repetition_penalty", "seed", "repeat", "batch", "lookup", "schedule", "blind"),
            "dimensions",
        )
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @property
    def sessions_dir(self) -> Path:
        """Where runs are recorded."""
        return paths.make_private_dir(self.sessions) if self.sessions else paths.sessions_dir()


class _InvalidValueError(ValueError):
    """A value that a key does not take; the text says what it takes."""


def load(
    flags: Mapping[str, object] | None = None,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings in force. A flag that is None was not given.

    Raises:
        UserError: an unknown key, a wrong value, or a file that is not TOML; the
            message names the file (or variable, or flag) and the key.
    """
    environ = os.environ if environ is None else environ
    found: dict[str, Any] = {"lang": _language(environ)}
    here = (cwd or Path.cwd()) / FILE_NAME
    for file in (paths.config_dir() / FILE_NAME, here):
        found.update(_from_file(file, is_untrusted=file == here))
    for name, read in _READERS.items():
        variable = f"DUIBI_{name.upper()}"
        if name not in _TABLES and (text := environ.get(variable, "")):
            found[name] = _checked(variable, read, _from_text(name, text))
    for name, value in (flags or {}).items():
        if value is not None:
            found[name] = _checked(f"--{name.replace('_', '-')}", _READERS[name], value)
    return Settings(**found)


def _from_file(file: Path, is_untrusted: bool) -> dict[str, Any]:
    """What a file says. A ``is_untrusted``'s may have come with the folder: it must not be able to
    send a key elsewhere than where the person who exported it means it to go."""
    try:
        with file.open("rb") as stream:
            text = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(
            f"{file}: {error.strerror or error}", "make it readable, or move it"
        ) from None
    if len(text) > _MAX_BYTES:
        raise UserError(f"{file}: larger than {_MAX_BYTES >> 20} MiB", "that is no settings file")
    try:
        written = text.decode("utf-8-sig")
        data = tomllib.loads(written)
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise UserError(f"{file}:{line}: not UTF-8", "save the file as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"{file}: not TOML: {error}", "mend the line, or move the file") from None
    found = {}
    for name, value in data.items():
        place = _location(file, written, name)
        if name not in _READERS:
            raise _unknown(place, name)
        found[name] = _checked(f"{place}: {name}", _READERS[name], value)
        if name in ("sessions", "pasted"):
            found[name] = file.parent / found[name]
        elif name == "model_folders":
            found[name] = tuple(file.parent / folder for folder in found[name])
        elif name == "services":
            _check_services(place, found[name], is_untrusted)
    return found


def _location(file: Path, text: str, name: str) -> str:
    """``file:line`` of where a key or its table begins, as far as that is plain to see."""
    found = re.search(rf"^[ \t]*\[*[ \t]*[\"']?{re.escape(name)}\b", text, re.MULTILINE)
    return f"{file}:{text.count(chr(10), 0, found.start()) + 1}" if found else str(file)


def _check_services(place: str, user_services: Mapping[str, Any], is_untrusted: bool) -> None:
    try:
        services.check_table(user_services, is_untrusted)
    except UserError as error:
        raise UserError(f"{place}: {error.message}", error.next_step) from None


def _unknown(place: str, name: str) -> UserError:
    near = difflib.get_close_matches(name, _READERS, 1, 0.7)
    if not near and name.lower().endswith(("_key", "_token", "_secret", "_base_url")):
        return UserError(
            f"{place}: {name} does not belong into a file", f"export {name.upper()} instead"
        )
    return UserError(
        f"{place}: unknown key {name!r}",
        f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_READERS)}",
    )


def _checked(where: str, read: Callable[[Any], Any], value: object) -> Any:
    try:
        return read(value)
    except _InvalidValueError as bad:
        raise UserError(f"{where}: {value!r} is not {bad}", f"give {bad}") from None


def _from_text(name: str, text: str) -> object:
    """A variable's text as the type its key takes; text that is not one stays text."""
    if name in _FLAGS:
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(
            text.lower(), text
        )
    if name in _NUMBERS:
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
    return text


def _language(environ: Mapping[str, str]) -> str:
    spoken = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    return "zh" if spoken.startswith("zh") else "en"


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise _InvalidValueError("a text")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _InvalidValueError("true or false")
    return value


def _path(value: object) -> Path:
    if isinstance(value, Path):
        return value.expanduser()
    if not isinstance(value, str) or not value or "\0" in value:
        raise _InvalidValueError("a path")
    return Path(value).expanduser()


def _paths(value: object) -> tuple[Path, ...]:
    if not isinstance(value, list | tuple):
        raise _InvalidValueError("a list of folders")
    return tuple(_path(item) for item in value)


def _one_of(*words: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise _InvalidValueError(f"one of {', '.join(words)}")
        return value

    return read


def _whole_number(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise _InvalidValueError(f"a whole number from {low} to {high}")
        return value

    return read


def _number(low: float, high: float) -> Callable[[object], float]:
    def read(value: object) -> float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high:  # type: ignore[operator]
            raise _InvalidValueError(f"a number from {low:g} to {high:g}")
        return float(value)  # type: ignore[arg-type]

    return read


def _table_of_tables(value: object) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict) or not all(isinstance(v, dict) for v in value.values()):
        raise _InvalidValueError("a table of tables")
    return dict(value)


def _dimensions(value: object) -> tuple[str | dict[str, str], ...]:
    wanted = "a list of 1 to 9 names, or of tables with id and en"
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= 9:
        raise _InvalidValueError(wanted)
    for item in value:
        words = list(item.values()) if isinstance(item, dict) else [item]
        named = not isinstance(item, dict) or (set(item) <= {"id", "en"} and item.get("id"))
        if not named or not all(isinstance(word, str) and word.strip() for word in words):
            raise _InvalidValueError(wanted)
    return tuple(value)


def _text_table(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise _InvalidValueError("a table of texts")
    return dict(value)


OPTIONAL = frozenset(
    {"system", "context", "batch", "temperature", "top_p", "top_k", "repetition_penalty", "seed"}
    | {"dimensions"}
)
"""What `Settings.of_run` leaves out where it is None."""
_FLAGS = ("blind", "lookup", "mouse", "plain", "remote_code")
_TABLES = ("aliases", "dimensions", "keys", "model_folders", "services")
_READERS: dict[str, Callable[[Any], Any]] = {
    "questions": _text,
    "system": _text,
    "max_new_tokens": _whole_number(1, 1 << 20),
    "context": _whole_number(64, 1 << 20),
    "sampling": _one_of("model", "greedy", "sample"),
    "temperature": _number(0, 10),
    "top_p": _number(0, 1),
    "top_k": _whole_number(0, 1 << 20),
    "repetition_penalty": _number(0.01, 10),
    "seed": _whole_number(0, (1 << 63) - 1),
    "repeat": _whole_number(1, 1000),
    "batch": _whole_number(1, 64),
    "lookup": _flag,
    "schedule": _one_of("auto", "together", "one-at-a-time"),
    "blind": _flag,
    "theme": _text,
    "lang": _one_of("en", "zh"),
    "sessions": _path,
    "pasted": _path,
    "model_folders": _paths,
    "mouse": _flag,
    "output": _one_of("cells", "stock"),
    "pictures": _one_of("svg", "png"),
    "remote_code": _flag,
    "plain": _flag,
    "aliases": _text_table,
    "dimensions": _dimensions,
    "keys": _text_table,
    "services": _table_of_tables,
}
_NUMBERS = (
    *("max_new_tokens", "context", "temperature", "top_p", "top_k"),
    *("repetition_penalty", "seed", "repeat", "batch"),
)
assert set(_READERS) == {f.name for f in fields(Settings)}
