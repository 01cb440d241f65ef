"""Colour themes: one TOML file each, bundled ones and the user's own.

A theme names the colours of :data:`ROLES`. A colour is ``#rrggbb``, one of the terminal's
sixteen (``ansi_blue``, ``ansi_bright_blue``, ...) or ``terminal``: the terminal's own
foreground or background, which also costs the fewest bytes.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rich.style import Style

from tui.host.errors import UserError
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
    try:
        raw = path.read_bytes()
        if len(raw) > _MAX_BYTES:
            raise UserError(f"theme {path.name} is larger than 64 KiB", "a theme is a few lines")
        text = raw.decode("utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise UserError(f"cannot read theme {path}: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"theme {path}: {error}", "see themes/duibi-dark.toml") from None
    return _parse_theme(path, text, data)


def _parse_theme(path: Path, text: str, data: dict[str, object]) -> Theme:
    def wrong(key: str, what: str) -> UserError:
        line = _line_of(text, key)
        where = f"{path}:{line}" if line else str(path)
        return UserError(f"theme {where}: {what}", "see themes/duibi-dark.toml")

    name, dark, colours = data.get("name", path.stem), data.get("dark", True), data.get("colours")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise wrong("name", "`name` is small letters, digits and hyphens")
    if not isinstance(dark, bool):
        raise wrong("dark", "`dark` is true or false")
    if not isinstance(colours, dict):
        raise wrong("colours", "a table [colours] is missing")
    for key in data:
        if key not in ("name", "dark", "colours"):
            raise wrong(key, f"unknown key `{one_line(key)}`")
    for role, value in colours.items():
        if role not in ROLES:
            raise wrong(role, f"unknown colour `{one_line(role)}`; known are {', '.join(ROLES)}")
        if not isinstance(value, str) or not (
            value == "terminal" or _HEX.fullmatch(value) or _ANSI.fullmatch(value)
        ):
            raise wrong(role, f"`{role}` is #rrggbb, ansi_<colour> or terminal")
    if missing := [role for role in ROLES if role not in colours]:
        raise wrong("colours", f"missing: {', '.join(missing)}")
    return Theme(name, dark, {role: str(colours[role]) for role in ROLES})


def _line_of(text: str, key: str) -> int:
    pattern = re.compile(rf"\s*\[?\s*[\"']?{re.escape(key)}[\"']?\s*[=\]]")
    return next((n for n, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 0)


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
