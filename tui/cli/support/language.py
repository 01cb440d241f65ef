"""The language of the command line: ``--lang``, ``DUIBI_LANG``, ``duibi.toml``, the locale."""

import os
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from tui import settings
from tui.host.errors import UserError
from tui.text import translation
from tui.text.translation import LANGUAGES, tr

FLAG = "--lang"
_VARIABLE = "DUIBI_LANG"


def choose_language(args: Sequence[str]) -> None:
    """Speak as the arguments, else the settings say. Every command takes the flag, so it is kept
    in the environment, where the settings find it.

    Raises:
        UserError: there is no such language.
    """
    given = _flag(args)
    if given is not None:
        if given not in LANGUAGES:
            raise UserError(
                f"{FLAG}: {given!r} is not one of {', '.join(LANGUAGES)}",
                f"use {FLAG} {f' or {FLAG} '.join(LANGUAGES)}",
            )
        os.environ[_VARIABLE] = given
    try:
        translation.speak(settings.load().screen.lang)
    except (UserError, OSError):  # told by the command that needs the settings
        translation.speak(given or settings.locale_language(os.environ))


def add_language_flag(command: Any) -> None:
    """Let a command, and those below it, take the flag."""
    if not any(FLAG in param.opts for param in command.params):
        command.params.append(_language_option())
    for subcommand in getattr(command, "commands", {}).values():
        add_language_flag(subcommand)


def translate_help(command: Any) -> None:
    """Put what ``--help`` says of a command, and of those below it, into the language chosen, and
    leave out the types of Python: a flag takes no value, an argument has its word."""
    import rich.columns
    import typer.rich_utils
    from rich.table import Table

    class FoldingTable(Table):
        """Chinese has no spaces to wrap at: a long text is folded, not cut off."""

        def __rich_console__(self, *given: Any) -> Any:
            for column in self.columns:
                column.overflow = "fold"
            return super().__rich_console__(*given)

    for module in (rich.columns, typer.rich_utils):
        setattr(module, "Table", FoldingTable)  # noqa: B010 - a type, for the type checker
    for title in ("ARGUMENTS", "OPTIONS", "COMMANDS"):
        setattr(typer.rich_utils, f"{title}_PANEL_TITLE", tr(title.capitalize()))
    typer.rich_utils.REQUIRED_LONG_STRING = tr("[required]")
    typer.rich_utils.DEFAULT_STRING = tr("[default: {value}]").replace("{value}", "{}")
    _translate_texts(command)


def _translate_texts(command: Any) -> None:
    with command.make_context(command.name, [], resilient_parsing=True) as context:
        for param in command.get_params(context):
            param.help = tr(param.help or "")
            if param.metavar:
                key = f"placeholder {param.metavar}"
                param.metavar = param.metavar if (word := tr(key)) == key else word
            if param.param_type_name == "argument" or getattr(param, "is_flag", False):
                param.display_type_rich = _no_type
    command.help = command.short_help = tr(command.help or "")
    command.get_usage = _usage_of(command.get_usage)
    for subcommand in getattr(command, "commands", {}).values():
        _translate_texts(subcommand)


def _no_type(ctx: Any) -> None:
    """What stands for the type of a value where there is none to tell."""


def _usage_of(get_usage: Callable[[Any], str]) -> Callable[[Any], str]:
    def translated(context: Any) -> str:
        said = get_usage(context)
        for word in ("Usage: ", "[OPTIONS]", "COMMAND", "[ARGS]"):
            said = said.replace(word, tr(word), 1)
        return said

    return translated


def _language_option() -> Any:
    """The flag as Typer makes it of a parameter; no command gets its value."""
    import typer

    def _take_language(
        lang: Annotated[
            str | None,
            typer.Option(FLAG, metavar="en|zh", help="Language of what is said: en or zh."),
        ] = None,
    ) -> None:
        """Only its parameter is used."""

    app = typer.Typer(add_completion=False)
    app.command()(_take_language)
    (option,) = typer.main.get_command(app).params
    option.expose_value = False
    return option


def _flag(args: Sequence[str]) -> str | None:
    """The value of the flag as it was given last; None where it was not."""
    given = None
    for number, arg in enumerate(args):
        if arg == "--":
            break
        if arg == FLAG:
            given = args[number + 1] if number + 1 < len(args) else None
        elif arg.startswith(f"{FLAG}="):
            given = arg.partition("=")[2]
    return given
