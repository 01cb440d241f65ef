"""The ``duibi`` command: which command is meant, and what becomes of errors.

Only the chosen command's module is imported, so that ``--version`` and ``--help`` answer
at once.
"""

import contextlib
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import tui
from tui.cli.support import fast_path
from tui.cli.support.usage_words import plain_words
from tui.host import splash
from tui.host.errors import EXIT_INTERRUPTED, EXIT_MEMORY, UserError
from tui.host.terminal import discard_output, guard_streams
from tui.text.sanitise import clean
from tui.text.translation import tr

COMMANDS = {
    "run": "the same run without a screen: figures or JSON on stdout",
    "bench": "what models cost on this machine: speed, load, memory",
    "replay": "play a recorded session with its original timing",
    "sessions": "list, show, verify, repair and remove recorded sessions",
    "report": "a finished report of one or several sessions",
    "rate": "stars and votes by hand, blind if asked",
    "score": "checks, overlap with references, a judge model",
    "rank": "who is better, by whose judgement, and how sure that is",
    "diff": "two runs of the same questions, and rules that fail",
    "models": "find, fetch and inspect models",
    "questions": "list, show and check question sets",
    "doctor": "what this machine can run, and what is wrong",
    "help": "pages of the documentation: installing, services, formats",
    "completion": "what bash, zsh or fish reads to complete words",
}
"""Name -> one line; the module is ``tui.cli.commands.NAME`` with a click ``command`` in it."""

COMPARE = "compare"
_COMPLETE = "complete"
"""Asked by the script of a shell (`tui.cli.support.completion`)."""
_SESSION = ".duibi"
"""As `tui.sessions.lines.SUFFIX`, whose import takes time that `--version` has not."""
_HELP = ("-h", "--help")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code (0 done, 1 some answers failed, 2
    usage, configuration or input file, 3 network or provider, 4 does not fit in memory,
    130 interrupted)."""
    args = list(sys.argv[1:] if argv is None else argv)
    guard_streams()
    code = run_command_line(args)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output(sys.stdout.fileno())
    except UserError as error:
        _print_error(error.message, error.next_step)
        code = error.exit_code
    sys.exit(code)


def run_command_line(args: list[str]) -> int:
    """Run the command line; the exit code. Errors are told on stderr, never raised."""
    try:
        return _dispatch(args)
    except UserError as error:
        _choose_language(args)
        _print_error(error.message, error.next_step)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        discard_output(sys.stdout.fileno())
        return 0
    except MemoryError:
        _print_error("there is no memory left for this", "close other programs, or raise the limit")
        return EXIT_MEMORY
    except Exception as error:
        _choose_language(args)
        return _report_unexpected(error)
    finally:
        splash.wipe()


def _dispatch(args: list[str]) -> int:
    first = args[0] if args else ""
    if first in ("--version", "-V"):
        if "--json" in args:
            from tui.cli.support.printing import print_json
            from tui.run.setup import versions

            print_json(versions())
        else:
            print(f"duibi {tui.__version__}")
        return 0
    if first == _COMPLETE:
        from tui.cli.support import completion

        words = args[2:] if args[1:2] == ["--"] else args[1:]
        print("\n".join(completion.candidates(words, COMMANDS)))
        return 0
    if first in _HELP:
        _choose_language(args)
        print(_help())
        return 0
    _require_folder()
    if first.endswith(_SESSION):  # a recorded session is played
        first, args = "replay", ["replay", *args]
    if (code := fast_path.open_screen(args)) is not None:
        return code
    if first == "help" and (named := args[1:2]) and named[0] in (*COMMANDS, COMPARE):
        return _invoke(named[0], [*args[2:], "--help"])
    if first in COMMANDS:
        return _invoke(first, args[1:])
    _refuse_misspelt(args)
    return _invoke(COMPARE, args[1:] if first == COMPARE else args)


def _require_folder() -> None:
    try:
        os.getcwd()  # noqa: PTH109 - pathlib costs 10 ms
    except OSError:
        raise UserError("the current folder is gone", "cd to one that is there") from None


def _invoke(name: str, args: list[str]) -> int:
    from tui.cli.support import language, logs
    from tui.host import paths

    folder = paths.adopt_persistent_dir()
    language.choose_language(args)
    logs.configure()
    _announce_data_folder(None if name == COMPARE and sys.stdout.isatty() else folder)
    command = importlib.import_module(f"tui.cli.commands.{name}").command
    language.add_language_flag(command)
    if "--help" in args:
        language.translate_help(command)
    import typer.exceptions

    shown = "duibi" if name == COMPARE else f"duibi {name}"
    try:
        result: Any = command.main(args=args, prog_name=shown, standalone_mode=False)
    except typer.exceptions.Exit as leaving:
        return int(leaving.exit_code)
    except typer.exceptions.Abort:
        return EXIT_INTERRUPTED
    except typer.exceptions.TyperException as error:
        # A usage error; without a text where a group was called without a command.
        message = error.format_message().strip() or "a command is missing"
        raise UserError(plain_words(message), f"`{shown} --help` shows how") from None
    return result if isinstance(result, int) else 0


def _announce_data_folder(folder: object) -> None:
    """Say once where everything is kept on a notebook's disk that stays."""
    from tui.host import paths

    if folder:
        splash.wipe()
        print(clean(f"duibi: {tr(paths.ADOPTED_MESSAGE.format(folder=folder))}"), file=sys.stderr)
    if temporary := paths.temporary_dir():
        splash.wipe()
        print(
            clean(f"duibi: {tr(paths.TEMPORARY_MESSAGE.format(folder=temporary))}"), file=sys.stderr
        )


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {name:<{width}}  {tr(text)}" for name, text in COMMANDS.items())
    return "\n".join([*map(tr, _HELP_BEFORE), lines, "", *map(tr, _HELP_BEHIND)])


_HELP_BEFORE = (
    "duibi: chat models side by side in a terminal",
    "",
    "usage: duibi [MODEL...] [OPTIONS]   compare models in the screen",
    "       duibi                        the start screen: recordings, models, questions",
    "       duibi FILE.duibi             a recorded session is played",
    "       duibi COMMAND ...",
    "",
    "commands:",
)
_HELP_BEHIND = (
    "a MODEL is demo, a checkpoint folder or a .gguf file, with @bf16, @fp32,",
    "@int8 or @int4 behind it; a service (openai:NAME) or a URL (http://HOST/v1#NAME)",
    "",
    "  duibi demo@bf16 demo@fp32                       a small real model beside itself",
    "  duibi run ./Qwen-7B-Chat --questions tongji     without a screen",
    "",
    "`duibi compare --help` lists the options of the screen, `duibi COMMAND --help` those",
    "of a command; --version tells the version.",
)


def _choose_language(args: list[str]) -> None:
    """Before something is said without a command; a wrong ``--lang`` is told in English."""
    from tui.cli.support import language

    with contextlib.suppress(UserError):
        language.choose_language(args)


def _refuse_misspelt(args: list[str]) -> None:
    """A bare word near a command's name that is nothing else is a typing error."""
    word = args[0] if args else ""
    near = difflib.get_close_matches(word, COMMANDS, 1, 0.75)
    if near and word.isalpha() and not os.path.exists(word):  # noqa: PTH110 - pathlib costs 10 ms
        raise UserError(f"no command and no model {word!r}", f"did you mean `duibi {near[0]}`?")


def _report_unexpected(error: Exception) -> int:
    from tui.cli.support import logs

    place = logs.log_traceback()
    where = f"the details are in {place}" if place else "the log could not be written"
    _print_error(f"unexpected {type(error).__name__}; {where}", "please report it with these lines")
    return 1


def _print_error(message: str, next_step: str) -> None:
    splash.wipe()
    print(clean(f"duibi: {tr(message)}"), file=sys.stderr)
    if next_step:
        print(clean(f"  -> {tr(next_step)}"), file=sys.stderr)
