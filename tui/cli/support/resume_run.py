"""Going on with a run that broke off: the same models, settings and questions."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tui import services, trust
from tui import settings as settings_of
from tui.board import Board, fold
from tui.cli.support import options, settings_in_force
from tui.host.errors import UserError
from tui.models import column
from tui.models.reference import DTYPES, parse_reference
from tui.models.resolved import LOCAL
from tui.options import HEADER_NAMES
from tui.run import remaining, resume_check, setup
from tui.run.conductor import Run
from tui.sessions import library, reader
from tui.sessions.reader import RecordedSession
from tui.setting_kinds import InvalidValueError
from tui.settings import Settings


@dataclass(frozen=True, slots=True)
class BegunRun:
    """A session that is to go on: what its file holds, the settings, and its models as named."""

    reading: RecordedSession
    board: Board
    settings: Settings
    names: Sequence[str]

    @property
    def is_complete(self) -> bool:
        """Whether it was closed, and nothing of it has no answer."""
        is_closed = self.reading.verdict == "complete"
        return is_closed and remaining.is_complete(self.board, self.settings.run.repeat)

    @property
    def nothing_to_do(self) -> str:
        """What is said where it is complete."""
        return f"{self.reading.path.name}: every answer is there; nothing to do, nothing changed"


def read_begun(session: str, models: Sequence[str] | None, flags: Mapping[str, object]) -> BegunRun:
    """What a session file says of its run.

    Raises:
        UserError: there is no such session, it was asked to go on in another way than it began,
            or a question changed since.
    """
    rules = {name: one.on_resume for name, one in settings_of.DECLARATIONS.items()}
    given = [
        f"--{name.replace('_', '-')}"
        for name, value in flags.items()
        if value and rules[name] == "refused"
    ]
    if models or given:
        raise UserError(
            f"--resume goes on as it began, without {(given or ['models'])[0]}",
            f"leave it out: `duibi run --resume {session}`",
        )
    own = settings_in_force.load(flags)
    folder = own.sessions_dir
    reading = reader.read(library.find(session, folder))
    name = reading.path.name
    resume_check.check_room(reading.events, name)
    resume_check.check_questions(reading.header.questions, _text(flags.get("questions")), name)
    kept = {k: v for k, v in reading.header.settings.items() if k in HEADER_NAMES}
    if budget := _budget(kept):
        kept["budget"] = trust.lesser_budget(budget, own.run.budget)
    anew = {name: value for name, value in flags.items() if rules[name] == "allowed"}
    names = _references(reading.header.models, own.run.services, name)
    # A name in the file is a model's own: an alias is none, and could lead elsewhere.
    settings = replace(settings_in_force.load(kept | anew, names), aliases={})
    return BegunRun(reading, fold(reading.events), settings, names)


def resume_run(
    begun: BegunRun, interactive: bool = False, yes: bool = False
) -> tuple[Run, Settings, int]:
    """The run of a session, its settings, and how many events it has already. With ``yes``
    models are fetched unasked.

    Raises:
        UserError: nobody agreed to what the session asks for, it cannot be gone on with, or a
            model changed since.
    """
    reading, settings, names = begun.reading, begun.settings, begun.names
    name = reading.path.name
    _agree_to_models(names, [""] * len(names), settings, name)
    if settings.run.chat_template is not None:
        ask = settings_in_force.ask_for_named
        trust.require_template(settings.run.chat_template, name, ask)
    of_columns = [column.check_settings(one) for one in map(_own_settings, reading.header.models)]
    found = options.resolve_models(names, settings, yes, recorded=of_columns)
    resume_check.check_models(reading.header.models, found, name)
    labels = resume_check.other_labels(reading.header.models, found)
    _agree_to_models([model.name for model in found], labels, settings, name)
    run = setup.resume(reading.path, reading.events, found, settings.run, interactive=interactive)
    return run, settings, len(reading.events)


def _references(
    models: Sequence[Mapping[str, Any]], own_services: Mapping[str, Any], session: str
) -> list[str]:
    """The models of a header, as they are named to be asked again.

    Raises:
        UserError: one cannot be asked by its name there; says of which session.
    """
    try:
        names = [_reference(model) for model in models]
        for name in names:
            reference = parse_reference(name, own_services)
            if reference.kind == "url":
                services.find_service(reference.target, own_services)
    except UserError as error:
        raise UserError(
            f"{session} names a model that cannot be asked: {error.message}",
            "begin a new session with `duibi run`",
        ) from None
    return names


def _reference(model: Mapping[str, Any]) -> str:
    """A model of a header with the format that it had: chosen again it might be another. One that
    is computed as published has none behind its name."""
    name, dtype = column.split_column(str(model.get("name", ""))).model, str(model.get("dtype", ""))
    if model.get("engine") != LOCAL or dtype not in DTYPES or name.endswith(f"@{dtype}"):
        return name
    return f"{name}@{dtype}"


def _own_settings(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """A column's settings as they were when it was begun: files may have changed since."""
    own = model.get("settings")
    return own if isinstance(own, dict) else {}


def _agree_to_models(
    names: Sequence[str], labels: Sequence[str], settings: Settings, session: str
) -> None:
    """Check that a person agreed to what the session alone says of its models: anyone can have
    written the file."""
    own, ask = settings.run.services, settings_in_force.ask_for_named
    for name, label in zip(names, labels, strict=True):
        trust.require_named(parse_reference(name, own), label, own, session, ask)


def _budget(kept: Mapping[str, Any]) -> Mapping[str, float] | None:
    """What a header says of a budget, where it says one that can be."""
    said = kept.get("budget")
    read = settings_of.DECLARATIONS["budget"].kind.read
    with contextlib.suppress(InvalidValueError):
        return None if said is None else read(said)
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
