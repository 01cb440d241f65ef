"""What a shell completes: commands, options, models, sessions, question sets, pages.

The script of a shell asks ``duibi complete WORD...``, which prints one candidate a line; the
last word is the one that is being typed. Nothing is asked of the network, and no error is told.
"""

import contextlib
import importlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tui.cli.support import help_pages, language
from tui.host import paths
from tui.host.errors import UserError
from tui.text.translation import LANGUAGES

SCRIPTS = {
    # A reference holds colons, at which bash cuts words: it is given what stands behind them.
    "bash": """\
# duibi in bash: eval "$(duibi completion bash)"
_duibi() {
    local line=${COMP_LINE:0:COMP_POINT} words cut
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    cut=${words[-1]%"${COMP_WORDS[COMP_CWORD]#:}"}
    mapfile -t COMPREPLY < <(duibi complete -- "${words[@]:1}" 2>/dev/null)
    COMPREPLY=("${COMPREPLY[@]#"$cut"}")
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == */ ]] && compopt -o nospace
}
complete -o default -F _duibi duibi
""",
    "zsh": """\
# duibi in zsh: eval "$(duibi completion zsh)", behind compinit
_duibi() {
    local -a found
    found=("${(@f)$(duibi complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n ${found[1]} ]]; then compadd -Q -- "${(@q)found}"; else _files; fi
}
compdef _duibi duibi
""",
    "fish": """\
# duibi in fish: duibi completion fish > ~/.config/fish/completions/duibi.fish
complete -c duibi -a '(duibi complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
""",
}
"""Shell -> its script."""

# bash puts a word into the line as it is, and a stranger's alias, file or session may be called
# `$(...)`. What a shell would read as more than a word is typed by hand, or completed as a path.
_PLAIN = re.compile(r"[\w./:@+=,%-][\w./:@+=,%#-]*")
_BY_OPTION: dict[str, str] = {"--questions": "sets", "--judge": "models", "--lang": "languages"}
_BY_COMMAND = {
    "compare": "models", "run": "models", "bench": "models", "models": "models",
    "replay": "sessions", "sessions": "sessions", "report": "sessions", "rate": "sessions",
    "score": "sessions", "rank": "sessions", "diff": "sessions",
    "questions": "sets", "help": "pages", "completion": "shells",
}  # fmt: skip


def candidates(words: Sequence[str], commands: Iterable[str]) -> list[str]:
    """What the last of ``words`` may become; ``commands`` are the program's."""
    *before, typed = words or [""]
    names = list(commands)
    command = before[0] if before and before[0] in names else "compare"
    found: list[str] = []
    if typed.startswith("-"):
        found = _options(command, before)
    elif before and before[-1] in _BY_OPTION:
        found = _words(_BY_OPTION[before[-1]])
    elif not before:
        found = [*names, *_words("models")]
    else:
        found = [*_subcommands(command, before), *_words(_BY_COMMAND.get(command, ""))]
    return [one for one in dict.fromkeys(found) if one.startswith(typed) and _PLAIN.fullmatch(one)]


def _click(command: str, before: Sequence[str]) -> Any:
    """The command as the parser has it, or the one below it that was typed."""
    made = importlib.import_module(f"tui.cli.commands.{command}").command
    language.add_language_flag(made)
    below = getattr(made, "commands", {})
    return next((below[word] for word in before[1:] if word in below), made)


def _options(command: str, before: Sequence[str]) -> list[str]:
    params = _click(command, before).params
    return ["--help", *(name for one in params for name in one.opts if name.startswith("--"))]


def _subcommands(command: str, before: Sequence[str]) -> list[str]:
    return list(getattr(_click(command, before), "commands", {}))


def _words(kind: str) -> list[str]:
    found: Callable[[], Iterable[str]] | None = {
        "models": _models,
        "sessions": _sessions,
        "sets": _sets,
        "pages": lambda: help_pages.find("en"),
        "shells": lambda: SCRIPTS,
        "languages": lambda: LANGUAGES,
    }.get(kind)
    # A shell that completes has no place for what is wrong.
    with contextlib.suppress(UserError, OSError):
        return list(found()) if found else []
    return []


def _models() -> list[str]:
    from tui import services, settings
    from tui.models.discover import discover

    chosen = settings.load()
    here = [one.reference for one in discover(extra=chosen.model_folders)]
    named = [f"{name}:" for name in services.built_in_names()]
    return ["demo", *here, *chosen.aliases, *named, "ms:", "hf:", "session:", "pasted:"]


def _sessions() -> list[str]:
    from tui import settings
    from tui.sessions import library

    folders = (settings.load().sessions_dir, paths.bundled("sessions"))
    found = [path.stem for folder in folders for path in library.session_files(folder)]
    return ["last", *found]


def _sets() -> list[str]:
    from tui import questions

    return list(questions.BUILT_IN)
