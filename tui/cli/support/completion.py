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

SCRIPTS = {
    # bash cuts words at colons and equals signs: it is given what stands behind them.
    "bash": """\
# duibi in bash: eval "$(duibi completion bash)"
_duibi() {
    local line=${COMP_LINE:0:COMP_POINT} words cut
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    cut=${words[-1]%"${COMP_WORDS[COMP_CWORD]#[:=]}"}
    mapfile -t COMPREPLY < <(duibi complete -- "${words[@]:1}" 2>/dev/null)
    COMPREPLY=("${COMPREPLY[@]#"$cut"}")
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[/=:] ]] && compopt -o nospace
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
function __duibi
    set -l found (duibi complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)
    if test -n "$found"
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c duibi -f -a '(__duibi)'
""",
}
"""Shell -> its script."""

# bash puts a word into the line as it is, and a stranger's alias, file or session may be called
# `$(...)`. What a shell would read as more than a word is typed by hand, or completed as a path.
_PLAIN = re.compile(r"[\w./:@+=,%-][\w./:@+=,%#-]*")
_BY_METAVAR = {
    "MODEL": "models", "SESSION": "sessions", "BEFORE": "sessions", "AFTER": "sessions",
    "SET": "sets", "TOPIC": "pages", "SHELL": "shells", "THEME": "themes", "NAME=A,B": "settings",
}  # fmt: skip
"""What an argument or the value of an option is, by the word that help shows for it; lower-case
words between bars, as in ``md|html|FILE``, stand for themselves."""
_CHOICE = re.compile(r"[a-z0-9][a-z0-9.-]*")


def candidates(words: Sequence[str], commands: Iterable[str]) -> list[str]:
    """What the last of ``words`` may become; ``commands`` are the program's."""
    *before, typed = words or [""]
    names = list(commands)
    command = before[0] if before and before[0] in names else "compare"
    if not before and not typed.startswith("-"):
        found = [*names, *_words("models")]
    else:
        given = before[1:] if before and before[0] == command else before
        found = _of_command(command, given, typed)
    return [one for one in dict.fromkeys(found) if one.startswith(typed) and _PLAIN.fullmatch(one)]


def _of_command(command: str, given: Sequence[str], typed: str) -> list[str]:
    """What may follow the words ``given`` behind a command."""
    made = importlib.import_module(f"tui.cli.commands.{command}").command
    language.add_language_flag(made)
    below = getattr(made, "commands", {})
    if below and given and given[0] in below:
        made, given, below = below[given[0]], given[1:], {}
    valued = {name: one for one in made.params for name in one.opts if _takes_value(one)}
    option, equals, _ = typed.partition("=")
    if equals and option in valued:
        return [f"{option}={word}" for word in _values(valued[option])]
    if typed.startswith("-"):
        return ["--help", *(name for one in made.params for name in one.opts if name[:2] == "--")]
    if given and given[-1] in valued:
        return _values(valued[given[-1]])
    if below:
        return list(below)
    count = sum(
        not word.startswith("-") and (at == 0 or given[at - 1] not in valued)
        for at, word in enumerate(given)
    )
    arguments = [one for one in made.params if not one.opts[0].startswith("-")]
    if count >= len(arguments) and not (arguments and arguments[-1].nargs < 0):
        return []
    return _values(arguments[min(count, len(arguments) - 1)])


def _takes_value(param: Any) -> bool:
    return param.opts[0].startswith("-") and not param.is_flag


def _values(param: Any) -> list[str]:
    # As it was declared: help translates the one of the parameter.
    told = param.type_descriptor.parameter_info.metavar or ""
    if told in _BY_METAVAR:
        return _words(_BY_METAVAR[told])
    parts = told.split("|")
    return [part for part in parts if _CHOICE.fullmatch(part)] if len(parts) > 1 else []


def _words(kind: str) -> list[str]:
    found: Callable[[], Iterable[str]] | None = {
        "models": _models,
        "sessions": _sessions,
        "sets": _sets,
        "pages": lambda: help_pages.find("en"),
        "shells": lambda: SCRIPTS,
        "themes": _themes,
        "settings": _settings,
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


def _themes() -> list[str]:
    folders = (paths.bundled("themes"), paths.config_dir() / "themes")
    return [file.stem for folder in folders for file in sorted(folder.glob("*.toml"))]


def _settings() -> list[str]:
    from tui.models.column import COLUMN_SETTINGS

    return [f"{name}=" for name in COLUMN_SETTINGS]
