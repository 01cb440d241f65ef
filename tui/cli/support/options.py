"""The options that `duibi MODEL...` and `duibi run` have in common."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import typer

from tui import trust
from tui.cli.support.download_progress import ProgressLine, ask_yes_no
from tui.engines.pasted import FILE_HINT
from tui.host import paths
from tui.host.errors import UserError
from tui.models.column import (
    ColumnText,
    column_labels,
    read_settings,
    split_column,
)
from tui.models.download_offer import DownloadOffer
from tui.models.reference import Reference, parse_reference
from tui.models.resolve import RemoteResolver, existing_path, resolve, resolve_all, unique_labels
from tui.models.resolved import ResolvedModel
from tui.run import remote_models
from tui.setting_kinds import Flag
from tui.settings import DECLARATIONS, Settings
from tui.text.sanitise import clean
from tui.text.translation import tr

Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL",
        help="demo, a folder, openai:NAME, a URL#NAME ...; NAME=MODEL heads its column.",
    ),
]
Resume = Annotated[
    str | None, typer.Option(metavar="SESSION", help="Ask what is missing in a broken-off run.")
]

Vary = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=A,B", help="A column of each model for each value; system=FILE,FILE too."
    ),
]

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Fetch what is not here, unasked.")]


def with_settings(*names: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """A command with the flags of these settings, in this order.

    The command takes what was given as ``flags``, a value for each setting (None: not given).
    A name that is a parameter of the command marks that parameter's place among the flags; the
    other parameters come first. Two flags of one setting exclude each other (`UserError`).
    """

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        own = {
            name: one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, one in inspect.signature(command).parameters.items()
            if name != "flags"
        }
        parameters = [one for name, one in own.items() if name not in names]
        taken: dict[str, dict[str, Flag]] = {}
        for name in names:
            if name in own:
                parameters.append(own[name])
            else:
                options = _parameters_of(name)
                taken[name] = {one.name: flag for one, flag in options}
                parameters += [one for one, _ in options]

        def wrapper(**given: Any) -> int:
            flags = {
                name: _flag_value({flag: given.pop(parameter) for parameter, flag in of.items()})
                for name, of in taken.items()
            }
            return command(flags=flags, **given)

        wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {one.name: one.annotation for one in parameters}
        return wrapper

    return decorate


def _parameters_of(name: str) -> list[tuple[inspect.Parameter, Flag]]:
    """The parameters by which Typer knows the flags of a setting."""
    declared, found = DECLARATIONS[name], []
    for flag in declared.flags:
        python_type = bool if flag.value else declared.kind.python_type
        option = typer.Option(
            flag.name, metavar=flag.metavar or None, help=flag.help, show_default=False
        )
        parameter = name if flag.value is None else flag.name.lstrip("-").replace("-", "_")
        found.append(
            (
                inspect.Parameter(
                    parameter,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=None,
                    annotation=Annotated[python_type | None, option],
                ),
                flag,
            )
        )
    return found


def _flag_value(given: Mapping[Flag, Any]) -> object:
    """What the flags of one setting say; None where none was given."""
    chosen = [(flag, value) for flag, value in given.items() if value is not None]
    if len(chosen) > 1:
        raise UserError(
            f"{chosen[0][0].name} and {chosen[1][0].name} exclude each other", "give one of them"
        )
    if not chosen:
        return None
    ((flag, value),) = chosen
    return value if flag.value is None else flag.value


def resolve_models(
    names: Sequence[str],
    settings: Settings,
    yes: bool = False,
    recorded: Sequence[Mapping[str, Any]] | None = None,
) -> list[ResolvedModel]:
    """The models of columns (`tui.models.column`); what must be fetched is asked for (not with
    ``yes``) and fetched. ``recorded`` are the settings of each column where a session has them.

    With ``settings.remote_code`` a person is asked before a checkpoint's own Python may be run.

    Raises:
        UserError: a model is not there, cannot be used or cannot be fetched.
    """
    own, pasted = settings.run.services, settings.run.pasted
    if pasted is not None and not pasted.exists():  # said before anything is fetched
        raise UserError(f"{pasted}: No such file or directory", FILE_HINT)
    columns = [read_column(name, settings) for name in names]
    of_columns = [read_settings(one.settings) for one in columns] if recorded is None else recorded
    references = [parse_reference(one.model, own) for one in columns]
    with ProgressLine(is_agreed=yes) as progress:
        agree = _agree_remote_code if settings.remote_code else None
        found = resolve_all(references, progress.consent, progress, agree, _beyond(settings))
    for column, reference in zip(columns, references, strict=True):
        trust.remember_named(reference, column.label, own)
    if recorded is None and settings.run.chat_template is not None:
        trust.remember_template(settings.run.chat_template)
    labels = column_labels([model.label for model in found], of_columns)
    return unique_labels(
        [
            replace(model, label=column.label or label, settings=dict(own_settings))
            for column, label, model, own_settings in zip(
                columns, labels, found, of_columns, strict=True
            )
        ]
    )


def resolve_present(text: str, settings: Settings) -> ResolvedModel:
    """The model of one column, without asking or fetching.

    Raises:
        UserError: it is not there, or would have to be fetched.
    """
    column = read_column(text, settings)
    own = read_settings(column.settings)
    reference = parse_reference(column.model, settings.run.services)
    found = resolve(reference, _refuse_download, lambda *_: None, None, _beyond(settings))
    (label,) = column_labels([found.label], [own])
    return replace(found, label=column.label or label, settings=own)


def _beyond(settings: Settings) -> RemoteResolver:
    """What finds the models that hold no weights here."""
    place = settings.sessions or paths.sessions_dir()
    own = settings.run.services
    return partial(
        remote_models.resolve_remote,
        user_services=own,
        sessions=place,
        own_prices=settings.run.prices,
    )


def _refuse_download(offer: DownloadOffer) -> bool:
    raise UserError(f"{offer.name} is not on this machine", "fetch it first: `duibi models`")


def read_column(text: str, settings: Settings) -> ColumnText:
    """What a person wrote of a column, with what an alias stands for; its own settings go before
    those of the alias.

    Raises:
        UserError: a setting that a column does not have, or a model that the folder's file alone
            tells of and nobody agreed to.
    """
    given = split_column(text)
    meant = split_column(settings.aliases.get(given.model, given.model))
    for one in (given.model, meant.model):
        trust.refuse_withheld(settings.folder_file, one)
    return ColumnText(given.label or meant.label, meant.model, meant.settings | given.settings)


def read_reference(text: str, settings: Settings) -> Reference:
    """The model of a column, a reference or an alias.

    Raises:
        UserError: it names no model, or one that the folder's file alone tells of and nobody
            agreed to.
    """
    return parse_reference(read_column(text, settings).model, settings.run.services)


def check_typed_reference(text: str, settings: Settings) -> None:
    """Look whether a model that is typed into a screen can be opened.

    Raises:
        UserError: it names no model, or a folder or file that is not there.
    """
    reference = read_reference(text, settings)
    if reference.kind in ("folder", "gguf"):
        existing_path(reference)


def question_set_name(names: Sequence[str], settings: Settings) -> str:
    """The question set of the settings, else one in a language that all of these models speak.

    Raises:
        UserError: a name is no reference.
    """
    if settings.questions:
        return settings.questions
    references = [read_reference(name, settings) for name in names]
    return "english" if any(one.kind == "demo" for one in references) else "tongji"


def _agree_remote_code(text: str) -> bool:
    print(clean(tr(text)), file=sys.stderr)
    return ask_yes_no("These files will not be asked about again while they stay the same.")
