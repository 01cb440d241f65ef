"""What the terminal cannot do, in words: colours, characters."""

from collections.abc import Iterator, Mapping

from rich.console import Console

from tui.app.style.appearance import Appearance
from tui.text.sanitise import one_line

_COERCED = "C.UTF-8"
"""What Python itself sets LC_CTYPE to where the locale is C (PEP 538)."""


def limitations(environ: Mapping[str, str], appearance: Appearance) -> Iterator[str]:
    """What a person should know before reading: what may not be shown as it is."""
    if name := locale_not_utf8(environ):
        yield appearance.say("terminal.locale", locale=one_line(name))
    term = environ.get("TERM", "")
    if term == "linux":
        yield appearance.say("terminal.console")
    elif term in ("", "dumb", "unknown"):
        yield appearance.say("terminal.dumb", term=one_line(term) or "?")


def locale_not_utf8(environ: Mapping[str, str]) -> str:
    """The locale that says that the terminal is not one of UTF-8; "" where none says so."""
    named = [environ.get("LC_ALL"), environ.get("LC_CTYPE"), environ.get("LANG")]
    name = next((name for name in named if name and name != _COERCED), "")
    return "" if name.lower().replace("-", "").endswith("utf8") else name


def colour_support(console: Console, environ: Mapping[str, str], appearance: Appearance) -> str:
    """Terminal, number of colours and why, for the help."""
    term = one_line(environ.get("TERM", "")) or "?"
    if environ.get("NO_COLOR"):
        return appearance.say("terminal.no_colour", term=term)
    match console.color_system:
        case "truecolor":
            return appearance.say("terminal.all_colours", term=term)
        case "256":
            return appearance.say("terminal.colours", term=term, count=256)
        case _:
            return appearance.say("terminal.colours", term=term, count=16)
