"""Colour themes: one TOML file each, bundled ones and the user's own.

A theme names the colours of :data:`ROLES`. A colour is ``#rrggbb``, one of the terminal's
sixteen (``ansi_blue``, ``ansi_bright_blue``, ...) or ``terminal``: the terminal's own
foreground or background, which also costs the fewest bytes.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rich.style import Style

from tui.host import toml_file
from tui.host.errors import UserError
from tui.host.toml_file import TomlFile
from tui.text.sanitise import one_line

ROLES = {
    "background": "of the screen",
    "text": "answers",
    "muted": "what matters less: figures, hints, reasoning",
    "accent": "what has the focus, keys, the person's own words",
    "good": "done",
    "warn": "at work, or worth a look",
    "bad": "failed",
    "panel": "background of headers",
    "panel_text": "text on it",
    "cursor": "background of the chosen entry",
    "cursor_text": "text on it",
}
_HEX = re.compile(r"#[0-9a-fA-F]{6}")
_ANSI = re.compile(r"ansi_(bright_)?(black|red|green|yellow|blue|magenta|cyan|white)")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_MAX_BYTES = 64 * 1024
_SEE = "see themes/duibi-dark.toml"


@dataclass(frozen=True)
class Theme:
    """A validated theme; ``colours`` has a value for every role."""

    name: str
    dark: bool
    colours: dict[str, str]

    @cached_property
    def styles(self) -> dict[str, Style]:
        """A Rich style for each role, and the plain ones ``bold``, ``italic``, ``underline``."""
        colours = {role: _rich_colour(value) for role, value in self.colours.items()}
        styles = {role: Style(color=colours[role]) for role in ROLES}
        styles["text"] = Style(color=colours["text"], bgcolor=colours["background"])
        for role in ("panel", "cursor"):
            styles[role] = Style(color=colours[f"{role}_text"], bgcolor=colours[role])
        plain = {name: Style.parse(name) for name in ("bold", "italic", "underline", "reverse")}
        return styles | plain

    def css(self, role: str) -> str:
        """The colour of a role in Textual's form."""
        value = self.colours[role]
        return "ansi_default" if value == "terminal" else value


def _rich_colour(value: str) -> str:
    if value == "terminal":
        return "default"
    return value.removeprefix("ansi_")


def load(path: Path) -> Theme:
    """Read and check one theme file.

    Raises:
        UserError: it cannot be read, or what is wrong with it and in which line.
    """
    return _parse_theme(toml_file.read_toml(path, _MAX_BYTES, _SEE))


def _parse_theme(file: TomlFile) -> Theme:
    def wrong(what: str, *keys: str) -> UserError:
        return UserError(f"theme {file.place(*keys)}: {what}", _SEE)

    data, path = file.table, file.path
    name, dark, colours = data.get("name", path.stem), data.get("dark", True), data.get("colours")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise wrong("`name` is small letters, digits and hyphens", "name")
    if not isinstance(dark, bool):
        raise wrong("`dark` is true or false", "dark")
    if not isinstance(colours, dict):
        raise wrong("a table [colours] is missing", "colours")
    for key in data:
        if key not in ("name", "dark", "colours"):
            raise wrong(f"unknown key `{one_line(key)}`", key)
    for role, value in colours.items():
        if role not in ROLES:
            known = ", ".join(ROLES)
            raise wrong(f"unknown colour `{one_line(role)}`; known are {known}", "colours", role)
        if not isinstance(value, str) or not (
            value == "terminal" or _HEX.fullmatch(value) or _ANSI.fullmatch(value)
        ):
            raise wrong(f"`{role}` is #rrggbb, ansi_<colour> or terminal", "colours", role)
    if missing := [role for role in ROLES if role not in colours]:
        raise wrong(f"missing: {', '.join(missing)}", "colours")
    return Theme(name, dark, {role: str(colours[role]) for role in ROLES})


def load_all(folders: list[Path]) -> tuple[dict[str, Theme], list[UserError]]:
    """All themes of some folders by name (a later folder wins), and what was wrong."""
    themes: dict[str, Theme] = {}
    errors: list[UserError] = []
    for folder in folders:
        for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
            try:
                theme = load(path)
            except UserError as error:
                errors.append(error)
            else:
                themes[theme.name] = theme
    return themes, errors
