"""What the terminal cannot do, in words: colours, characters."""

from collections.abc import Iterator, Mapping

from rich.console import Console

from tui.app.style.appearance import Appearance
from tui.host.terminal import locale_not_utf8
from tui.text.sanitise import one_line


def limitations(environ: Mapping[str, str], appearance: Appearance) -> Iterator[str]:
    """What a person should know before reading: what may not be shown as it is."""
    if name := locale_not_utf8(environ):
        yield appearance.say("terminal.locale", locale=one_line(name))
    term = environ.get("TERM", "")
    if term == "linux":
        yield appearance.say("terminal.console")
    elif term in ("", "dumb", "unknown"):
        yield appearance.say("terminal.dumb", term=one_line(term) or "?")


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
