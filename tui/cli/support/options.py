"""The options that `duibi MODEL...` and `duibi run` have in common."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tui.cli.support.download_progress import ProgressLine, ask_yes_no
from tui.host import paths
from tui.host.errors import UserError
from tui.models.reference import parse_reference
from tui.models.resolve import ResolvedModel, resolve_all
from tui.run import remote_models
from tui.settings import Settings

Models = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODEL", help="demo, a folder, openai:NAME, a URL#NAME ..."),
]
Questions = Annotated[
    str | None, typer.Option(metavar="SET", help="A built-in set, or a .toml, .jsonl, .txt file.")
]
System = Annotated[str | None, typer.Option(metavar="TEXT", help="System prompt.")]
MaxNewTokens = Annotated[int | None, typer.Option(metavar="N", help="Tokens of an answer.")]
Context = Annotated[
    int | None, typer.Option(metavar="N", help="Tokens of prompt and answer together.")
]
Blind = Annotated[bool, typer.Option("--blind", help="Hide which model says what.")]
Resume = Annotated[
    str | None, typer.Option(metavar="SESSION", help="Ask what is missing in a broken-off run.")
]
Sample = Annotated[bool, typer.Option("--sample", help="Draw tokens at random.")]
Greedy = Annotated[bool, typer.Option("--greedy", help="Take the likeliest token, always.")]
Temperature = Annotated[float | None, typer.Option(metavar="X", help="Instead of the model's.")]
TopP = Annotated[float | None, typer.Option("--top-p", metavar="X", help="Likewise.")]
Seed = Annotated[int | None, typer.Option(metavar="N", help="For the same draw each time.")]
Together = Annotated[
    bool, typer.Option("--together", help="Hold all models in memory, whatever is predicted.")
]
OneAtATime = Annotated[
    bool, typer.Option("--one-at-a-time", help="One model after another: clean figures.")
]
Batch = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Answers a local model decodes together (as memory allows, 8 at most)."
    ),
]
Lookup = Annotated[
    bool,
    typer.Option(
        "--lookup",
        help="Guess tokens from the prompt: the same text, sooner where answers repeat it.",
    ),
]
RemoteCode = Annotated[
    bool,
    typer.Option("--remote-code", help="Ask to run the Python that an unknown model brings."),
]
Pasted = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="TOML with the answers of pasted:NAME, by question id."),
]
Sessions = Annotated[Path | None, typer.Option(metavar="DIR", help="Where the run is recorded.")]


def sampling(sample: bool, greedy: bool) -> str | None:
    """The setting that two flags mean.

    Raises:
        UserError: both were given.
    """
    return _exclusive({"sample": sample, "greedy": greedy})


def schedule(together: bool, one_at_a_time: bool) -> str | None:
    """The setting that two flags mean.

    Raises:
        UserError: both were given.
    """
    return _exclusive({"together": together, "one-at-a-time": one_at_a_time})


def resolve_models(names: Sequence[str], settings: Settings) -> list[ResolvedModel]:
    """The models of references and aliases; what must be fetched is asked for and fetched.

    With ``settings.remote_code`` a person is asked before a checkpoint's own Python may be run.

    Raises:
        UserError: a model is not there, cannot be used or cannot be fetched.
    """
    references = [
        parse_reference(settings.aliases.get(name, name), settings.services) for name in names
    ]
    place = settings.sessions or paths.sessions_dir()
    beyond = partial(remote_models.resolve_remote, user_services=settings.services, sessions=place)
    with ProgressLine() as progress:
        agree = _agree_remote_code if settings.remote_code else None
        return resolve_all(references, progress.consent, progress, agree, beyond)


def _agree_remote_code(text: str) -> bool:
    print(text, file=sys.stderr)
    return ask_yes_no("These files will not be asked about again while they stay the same.")


def _exclusive(given: dict[str, bool]) -> str | None:
    chosen = [name for name, yes in given.items() if yes]
    if len(chosen) > 1:
        raise UserError(f"--{chosen[0]} and --{chosen[1]} exclude each other", "give one of them")
    return chosen[0] if chosen else None
