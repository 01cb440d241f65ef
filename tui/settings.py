"""What a person can choose: flags > environment (``DUIBI_*``) > ``duibi.toml`` > defaults.

``duibi.toml`` is read from the current folder and from the user's config folder; where
both have a key, the current folder wins. Keys of services never come from a file.

A setting is declared once, as a field of `RunOptions` or `Settings`: its kind, default, flags,
and what it has to do with answers. Its name is the same in a file, as ``DUIBI_NAME`` and here.
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
from tui import setting_kinds as kinds
from tui.host import paths
from tui.host.errors import UserError
from tui.setting_kinds import Declaration, Flag, setting

FILE_NAME = "duibi.toml"
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run is asked to do. None leaves it to the model.

    ``context`` bounds prompt and answer together, in tokens (None: the model's own bound,
    while memory is planned for a conversation of common length);
    ``sampling`` is ``model`` (the checkpoint's own way), ``greedy`` or ``sample``;
    ``batch`` is how many answers of a question set a local model decodes together at most
    (None: as many as memory allows, up to 8); ``lookup`` guesses tokens from the prompt (same
    text, sooner where an answer repeats it); ``schedule`` is ``auto`` (what fits in memory is
    held together), ``together`` or ``one-at-a-time``; ``dimensions`` are what answers are
    judged in where the question set names none; ``pasted`` is a file with the answers of models
    that a person pastes (`tui.engines.pasted.read_pasted`); ``services`` maps a name to what
    `tui.services` says of one.
    """

    system: str | None = field(
        default=None,
        metadata=setting(kinds.TEXT, Flag("--system", "System prompt.", "TEXT"), effect="answer"),
    )
    max_new_tokens: int = field(
        default=512,
        metadata=setting(
            kinds.whole(1, 1 << 20),
            Flag("--max-new-tokens", "Tokens of an answer.", "N"),
            effect="answer",
        ),
    )
    context: int | None = field(
        default=None,
        metadata=setting(
            kinds.whole(64, 1 << 20),
            Flag("--context", "Tokens of prompt and answer together.", "N"),
            effect="answer",
        ),
    )
    sampling: str = field(
        default="model",
        metadata=setting(
            kinds.one_of("model", "greedy", "sample"),
            Flag("--sample", "Draw tokens at random.", value="sample"),
            Flag("--greedy", "Take the likeliest token, always.", value="greedy"),
            effect="answer",
        ),
    )
    temperature: float | None = field(
        default=None,
        metadata=setting(
            kinds.number(0, 10),
            Flag("--temperature", "Instead of the model's.", "X"),
            effect="answer",
        ),
    )
    top_p: float | None = field(
        default=None,
        metadata=setting(kinds.number(0, 1), Flag("--top-p", "Likewise.", "X"), effect="answer"),
    )
    top_k: int | None = field(
        default=None, metadata=setting(kinds.whole(0, 1 << 20), effect="answer")
    )
    repetition_penalty: float | None = field(
        default=None, metadata=setting(kinds.number(0.01, 10), effect="answer")
    )
    seed: int | None = field(
        default=None,
        metadata=setting(
            kinds.whole(0, (1 << 63) - 1),
            Flag("--seed", "For the same draw each time.", "N"),
            effect="answer",
        ),
    )
    repeat: int = field(
        default=1,
        metadata=setting(kinds.whole(1, 1000), Flag("--repeat", "Ask N times.", "N"), effect="run"),
    )
    batch: int | None = field(
        default=None,
        metadata=setting(
            kinds.whole(1, 64),
            Flag(
                "--batch",
                "Answers a local model decodes together (as memory allows, 8 at most).",
                "N",
            ),
            effect="run",
        ),
    )
    lookup: bool = field(
        default=False,
        metadata=setting(
            kinds.FLAG,
            Flag(
                "--lookup",
                "Guess tokens from the prompt: the same text, sooner where answers repeat it.",
            ),
            effect="answer",
        ),
    )
    schedule: str = field(
        default="auto",
        metadata=setting(
            kinds.one_of("auto", "together", "one-at-a-time"),
            Flag(
                "--together",
                "Hold all models in memory, whatever is predicted.",
                value="together",
            ),
            Flag(
                "--one-at-a-time",
                "One model after another: clean figures.",
                value="one-at-a-time",
            ),
            effect="run",
        ),
    )
    blind: bool = field(
        default=False,
        metadata=setting(kinds.FLAG, Flag("--blind", "Hide which model says what."), effect="run"),
    )
    dimensions: tuple[str | dict[str, str], ...] | None = field(
        default=None, metadata=setting(kinds.DIMENSIONS, effect="run")
    )
    pasted: Path | None = field(
        default=None,
        metadata=setting(
            kinds.PATH,
            Flag("--pasted", "TOML with the answers of pasted:NAME, by question id.", "FILE"),
            effect="none",
            on_resume="allowed",
        ),
    )
    services: dict[str, dict[str, Any]] = field(
        default_factory=dict, metadata=setting(kinds.SERVICE_TABLES, effect="none")
    )

    def header(self) -> dict[str, Any]:
        """What of it shapes the run, for the header of a session; None is left out."""
        return {name: value for name in HEADER_NAMES if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one start of the program.

    ``sessions`` is where runs are recorded (None: the usual folder); ``model_folders``
    are further folders below which checkpoints are looked for; ``output`` is ``cells`` (only
    what changed on the screen is written) or ``stock`` (Textual's own way); ``pictures`` of
    the screen are ``svg`` or ``png``; ``aliases`` maps a word to a model reference, ``keys`` a
    binding's id to keys.
    """

    questions: str = field(
        default="tongji",
        metadata=setting(
            kinds.TEXT,
            Flag("--questions", "A built-in set, or a .toml, .jsonl, .txt file.", "SET"),
            effect="none",
            on_resume="compared",
        ),
    )
    run: RunOptions = field(default_factory=RunOptions)
    theme: str = field(
        default="duibi-dark",
        metadata=setting(
            kinds.TEXT, Flag("--theme", "Colours.", "NAME"), effect="none", on_resume="allowed"
        ),
    )
    lang: str = field(
        default="en",
        metadata=setting(
            kinds.one_of("en", "zh"),
            Flag("--lang", "Of the screen.", "en|zh"),
            effect="none",
            on_resume="allowed",
        ),
    )
    sessions: Path | None = field(
        default=None,
        metadata=setting(
            kinds.PATH,
            Flag("--sessions", "Where the run is recorded.", "DIR"),
            effect="none",
            on_resume="allowed",
        ),
    )
    model_folders: tuple[Path, ...] = field(
        default=(), metadata=setting(kinds.PATHS, effect="none")
    )
    mouse: bool = field(
        default=False,
        metadata=setting(
            kinds.FLAG,
            Flag("--mouse/--no-mouse", "Off by default."),
            effect="none",
            on_resume="allowed",
        ),
    )
    output: str = field(
        default="cells", metadata=setting(kinds.one_of("cells", "stock"), effect="none")
    )
    pictures: str = field(
        default="svg", metadata=setting(kinds.one_of("svg", "png"), effect="none")
    )
    remote_code: bool = field(
        default=False,
        metadata=setting(
            kinds.FLAG,
            Flag("--remote-code", "Ask to run the Python that an unknown model brings."),
            effect="none",
        ),
    )
    plain: bool = field(
        default=False,
        metadata=setting(
            kinds.FLAG,
            Flag("--plain", "Text on stdout; so also where it is no terminal."),
            effect="none",
            on_resume="allowed",
        ),
    )
    aliases: dict[str, str] = field(
        default_factory=dict, metadata=setting(kinds.TEXT_TABLE, effect="none")
    )
    keys: dict[str, str] = field(
        default_factory=dict, metadata=setting(kinds.TEXT_TABLE, effect="none")
    )

    def value_of(self, name: str) -> Any:
        """The value of any setting by its name, one of `RunOptions` too."""
        return getattr(self.run if name in _RUN_DECLARATIONS else self, name)

    @property
    def sessions_dir(self) -> Path:
        """Where runs are recorded."""
        return paths.make_private_dir(self.sessions) if self.sessions else paths.sessions_dir()


_RUN_DECLARATIONS: dict[str, Declaration] = {
    f.name: f.metadata["setting"] for f in fields(RunOptions)
}
DECLARATIONS: dict[str, Declaration] = {}
"""Every setting by its name."""
for _field in fields(Settings):
    if _field.name == "run":
        DECLARATIONS |= _RUN_DECLARATIONS
    else:
        DECLARATIONS[_field.name] = _field.metadata["setting"]

HEADER_NAMES = tuple(name for name, one in DECLARATIONS.items() if one.effect != "none")
"""The settings that a session's header holds, in its order."""


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
    for name, declared in DECLARATIONS.items():
        variable, kind = f"DUIBI_{name.upper()}", declared.kind
        if kind.from_text and (text := environ.get(variable, "")):
            found[name] = _checked(variable, kind.read, kind.from_text(text))
    for name, value in (flags or {}).items():
        if value is not None:
            found[name] = _checked(
                f"--{name.replace('_', '-')}", DECLARATIONS[name].kind.read, value
            )
    of_run = {name: found.pop(name) for name in list(found) if name in _RUN_DECLARATIONS}
    return Settings(run=RunOptions(**of_run), **found)


def _from_file(file: Path, is_untrusted: bool) -> dict[str, Any]:
    """What a file says. An untrusted file (of the current folder) must not send a known
    service's key to another address."""
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
        if name not in DECLARATIONS:
            raise _unknown(place, name)
        kind = DECLARATIONS[name].kind
        found[name] = kind.below(file.parent, _checked(f"{place}: {name}", kind.read, value))
        if kind is kinds.SERVICE_TABLES:
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
    near = difflib.get_close_matches(name, DECLARATIONS, 1, 0.7)
    if not near and name.lower().endswith(("_key", "_token", "_secret", "_base_url")):
        return UserError(
            f"{place}: {name} does not belong into a file", f"export {name.upper()} instead"
        )
    return UserError(
        f"{place}: unknown key {name!r}",
        f"did you mean {near[0]!r}?" if near else f"known: {', '.join(DECLARATIONS)}",
    )


def _checked(where: str, read: Callable[[Any], Any], value: object) -> Any:
    try:
        return read(value)
    except kinds.InvalidValueError as bad:
        raise UserError(f"{where}: {value!r} is not {bad}", f"give {bad}") from None


def _language(environ: Mapping[str, str]) -> str:
    spoken = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    return "zh" if spoken.startswith("zh") else "en"
