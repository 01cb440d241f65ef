"""What a person can choose: flags > environment (``DUIBI_*``) > ``duibi.toml`` > defaults.

``duibi.toml`` is read from the current folder and from the user's config folder; where
both have a key, the current folder wins, as far as `tui.trust` admits it. Keys of services never
come from a file.

A setting is declared once, as a field of a group in `tui.options`, or of `Settings` where only
commands need it. Its name is the same in a file, as ``DUIBI_NAME`` and here.
"""

import difflib
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tui import prices, services, trust
from tui import setting_kinds as kinds
from tui.host import paths, toml_file
from tui.host.errors import UserError
from tui.host.toml_file import TomlFile
from tui.models.reference import is_reference, parse_reference
from tui.options import RunOptions, ScreenOptions
from tui.setting_kinds import Declaration, Flag, declarations, setting
from tui.text.width import shorten

FILE_NAME = "duibi.toml"
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one start of the program.

    ``questions`` is a question set ("": one in a language of the models); ``sessions`` is where
    runs are recorded (None: the usual folder); ``model_folders`` are further folders below which
    checkpoints are looked for; ``aliases`` maps a word to a model reference, in the person's own
    file with settings of a column too.
    """

    questions: str = field(
        default="",
        metadata=setting(
            kinds.TEXT,
            Flag(
                "--questions",
                "A built-in set, or a file (TOML, JSON, CSV, xlsx, YAML, text).",
                "SET",
            ),
            effect="none",
            on_resume="compared",
            names_paths=True,
        ),
    )
    run: RunOptions = field(default_factory=RunOptions)
    screen: ScreenOptions = field(default_factory=ScreenOptions)
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
    own_file: trust.SettingsFile | None = None
    """The person's own file, where there is one."""
    folder_file: trust.SettingsFile | None = None
    """The file of the current folder, where there is one that is not the person's own."""

    def value_of(self, name: str) -> Any:
        """The value of any setting by its name, one of a group too."""
        group = _GROUP_OF.get(name)
        return getattr(getattr(self, group) if group else self, name)

    @property
    def sessions_dir(self) -> Path:
        """Where sessions are looked for."""
        return self._chosen_sessions() or paths.sessions_dir()

    @property
    def recording_dir(self) -> Path:
        """Where a run is recorded."""
        return self._chosen_sessions() or paths.recording_dir()

    def _chosen_sessions(self) -> Path | None:
        if self.sessions is None:
            return None
        try:
            return paths.make_private_dir(self.sessions)
        except UserError as error:
            step = "choose another folder with --sessions DIR"
            raise UserError(error.message, step) from None


_GROUPS: dict[str, type[Any]] = {"run": RunOptions, "screen": ScreenOptions}
_GROUP_OF = {name: group for group, of in _GROUPS.items() for name in declarations(of)}
DECLARATIONS: dict[str, Declaration] = {}
"""Every setting by its name."""
for _field in fields(Settings):
    if _group := _GROUPS.get(_field.name):
        DECLARATIONS |= declarations(_group)
    elif _field.metadata:
        DECLARATIONS[_field.name] = _field.metadata["setting"]


def load(
    flags: Mapping[str, object] | None = None,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings in force. A flag that is None was not given. A file of the current folder that
    cannot be used is passed over: it may be a stranger's (``folder_file`` of the settings tells).

    Raises:
        UserError: an unknown key, a wrong value, or the person's own file is not TOML; the message
            names the file (or variable, or flag) and the key.
    """
    environ = os.environ if environ is None else environ
    own, here = paths.config_dir() / FILE_NAME, (cwd or Path.cwd()) / FILE_NAME
    found = _from_file(own)
    own_file = trust.own_file(own, found) if found else None
    chosen = {name for name, value in (flags or {}).items() if value is not None}
    chosen |= {name for name in DECLARATIONS if environ.get(f"DUIBI_{name.upper()}", "")}
    folder_file = None
    if not _is_same_file(own, here):
        admitted, folder_file = _of_folder(here, found, chosen)
        found.update(admitted)
    found.setdefault("lang", locale_language(environ))
    for name, declared in DECLARATIONS.items():
        variable, kind = f"DUIBI_{name.upper()}", declared.kind
        if kind.from_text and (text := environ.get(variable, "")):
            found[name] = _checked(variable, kind.read, kind.from_text(text))
    for name, value in (flags or {}).items():
        if value is not None:
            found[name] = _checked(
                f"--{name.replace('_', '-')}", DECLARATIONS[name].kind.read, value
            )
    groups = {
        group: of(**{name: found.pop(name) for name in declarations(of) if name in found})
        for group, of in _GROUPS.items()
    }
    return Settings(**groups, **found, own_file=own_file, folder_file=folder_file)


def _is_same_file(own: Path, here: Path) -> bool:
    try:
        return own.samefile(here)
    except OSError:
        return False


def _of_folder(
    here: Path, own: Mapping[str, Any], chosen: Collection[str]
) -> tuple[dict[str, Any], trust.SettingsFile | None]:
    """What is in force of the file of the current folder, and what is to be told of it; nothing
    where it has a fault. ``chosen`` are the settings that the person gave."""
    try:
        given = _from_file(here, is_untrusted=True)
        if not given:
            return {}, None
        wanted = [name for name in given if name not in chosen and DECLARATIONS[name].names_paths]
        admitted, file = trust.admit_file(here, given, own, wanted)
        services_of_both = {*own.get("services", {}), *given.get("services", {})}
        _check_aliases(here, given.get("aliases", {}), services_of_both)
    except UserError as error:
        return {}, trust.SettingsFile(here, fault=error.message)
    return admitted, file


def _check_aliases(file: Path, aliases: Mapping[str, str], services: Collection[str]) -> None:
    for word, target in aliases.items():
        try:
            parse_reference(target, services)
        except UserError as error:
            raise UserError(
                f"{file}: aliases.{shorten(word, 80)}: {error.message}", error.next_step
            ) from None


def _from_file(file: Path, is_untrusted: bool = False) -> dict[str, Any]:
    """What a file says. An untrusted file (of the current folder) must not send a known
    service's key to another address."""
    if not os.path.lexists(file):
        return {}
    read = toml_file.read_toml(file, _MAX_BYTES, "mend the file, or move it away")
    found = {}
    for name, value in read.table.items():
        if name not in DECLARATIONS:
            raise _unknown(read.place(name), name)
        kind = DECLARATIONS[name].kind
        if is_untrusted and isinstance(value, dict) and len(value) > trust.MOST_ENTRIES:
            raise UserError(f"{file}: {name}: more than {trust.MOST_ENTRIES} entries", "name fewer")
        if isinstance(value, dict):
            for key, entry in value.items():  # so that the line is the entry's
                _checked(f"{read.place(name, key)}: {name}", kind.read, {key: entry})
        value = _checked(f"{read.place(name)}: {name}", kind.read, value)
        found[name] = kind.below(file.parent, value)
        if kind is kinds.PRICE_TABLES:
            _check_prices(read, found[name])
        if kind is kinds.SERVICE_TABLES:
            _check_services(read, found[name], is_untrusted)
        for word in found[name] if name == "aliases" else ():
            if is_reference(word):
                raise UserError(
                    f"{read.place(name, word)}: aliases: {_shown(word)} means a model already",
                    "take another word",
                )
    return found


def _check_prices(read: TomlFile, own: Mapping[str, Any]) -> None:
    for name, entry in own.items():
        try:
            prices.check_table({name: entry})
        except UserError as error:
            place = read.place("prices", name)
            raise UserError(f"{place}: {error.message}", error.next_step) from None


def _check_services(read: TomlFile, user_services: Mapping[str, Any], is_untrusted: bool) -> None:
    try:
        services.check_table(user_services, is_untrusted)
    except UserError as error:
        place = _service_place(read, user_services, error.message)
        raise UserError(f"{place}: {error.message}", error.next_step) from None


def _service_place(read: TomlFile, user_services: Mapping[str, Any], message: str) -> str:
    """Where the entry, and its field, stand that a message names."""
    for name, entry in user_services.items():
        if f"services.{name}" not in message and f"'{name}'" not in message:
            continue
        for key, value in entry.items():
            if any(w in message for w in (f"services.{name}.{key}", f"'{key}'", f"'{value}'")):
                return read.place("services", name, key)
        return read.place("services", name)
    return read.place("services")


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
        raise UserError(f"{where}: {_shown(value)} is not {bad}", f"give {bad}") from None


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return shorten(repr(value), 80)
    except ValueError:  # of so many digits that Python does not write it
        return "this number"


def locale_language(environ: Mapping[str, str]) -> str:
    """The language of a locale: Chinese, or English for all others."""
    spoken = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    return "zh" if spoken.startswith("zh") else "en"
