"""Whether a run that goes on would still ask the same questions of the same models."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tui import questions as question_sets
from tui.events import Event
from tui.host import paths
from tui.host.errors import UserError
from tui.host.secrets import environment_mask
from tui.models.resolved import ResolvedModel
from tui.questions import BUILT_IN, QuestionSet
from tui.sessions.masking import mask_value

SOURCE_KEY = "source"
"""Where a header says which set was asked: a built-in one's name, or a file."""
_LATEST = 1 << 52
"""Half of what the format counts up to; in microseconds it is 142 years."""
_IDENTITY_FIELDS = {
    "engine": "the engine",
    "dtype": "the dtype",
    "family": "the family",
    "checkpoint_bytes": "the size of its weights",
    "parameters": "the number of its parameters",
    "fingerprint": "its files",
    "service": "the service",
    "base_url": "the address",
    "model": "the name of the model there",
}
"""What of a model's entry in a header makes it the same model, and what it is called."""


def portable_source(name_or_path: str) -> str:
    """The set of a name or file as a header keeps it: found again from any folder."""
    if name_or_path in BUILT_IN:
        return name_or_path
    return paths.portable(paths.expand(name_or_path).absolute())


def check_room(events: Iterable[Event], name: str) -> None:
    """The times and ids that ``name`` has leave room for more: what lay beyond what a session can
    hold would be written, and not be read again.

    Raises:
        UserError: they do not, as in no session that a run made.
    """
    for event in events:
        if max(event.t_us, getattr(event.body, "answer", 0)) > _LATEST:
            raise UserError(
                f"{name} has times or ids near the end of what can be counted",
                "begin a new session with `duibi run`",
            )


def check_models(
    recorded: Sequence[Mapping[str, Any]], current: Sequence[ResolvedModel], name: str
) -> None:
    """The models that ``name``'s header lists (``recorded``) are those of ``current``.

    Raises:
        UserError: one is another model by now.
    """
    for old, model in zip(recorded, current, strict=True):
        new = model.to_json()
        for field, words in _IDENTITY_FIELDS.items():
            before, after = old.get(field), new.get(field)
            # What an older duibi did not write down, or cannot be known before the load.
            if not before or not after or before == after:
                continue
            shown = "" if field == "fingerprint" else f" ({before}, now {after})"
            raise UserError(
                f"{model.label} is not the model that {name} began with: {words} changed{shown}",
                "bring that model back, or begin a new session with `duibi run`",
            )


def other_labels(
    recorded: Sequence[Mapping[str, Any]], current: Sequence[ResolvedModel]
) -> list[str]:
    """What the models are headed with in a header, where that is not their own name ("": it is)."""
    labels = [str(old.get("label", "")) for old in recorded]
    pairs = zip(labels, current, strict=True)
    return [
        "" if not label or _without_number(label) == _without_number(model.label) else label
        for label, model in pairs
    ]


def _without_number(label: str) -> str:
    return re.sub(r" #\d+$", "", label)


def check_questions(recorded: Mapping[str, Any], given: str | None, name: str) -> None:
    """The questions in ``name``'s header (``recorded``) are those of the set it was begun with,
    as far as that is still there, and those of ``given`` where a person names a set.

    Raises:
        UserError: one was changed, is missing or new; or ``given`` is no set.
    """
    asked = QuestionSet.from_json(recorded, name)
    if given is not None:
        _check_set(asked, question_sets.load(given), given, name)
        return
    source = recorded.get(SOURCE_KEY)
    if not isinstance(source, str) or not _is_there(source):
        return  # the session has its questions whole
    try:
        now = question_sets.load(source)
    except UserError:
        return
    _check_set(asked, now, source, name)


def _is_there(source: str) -> bool:
    # Only ordinary files: a header that others wrote may name a pipe or a device.
    try:
        return source in BUILT_IN or paths.expand(source).is_file()
    except (OSError, RuntimeError, ValueError):
        return False


def _check_set(asked: QuestionSet, now: QuestionSet, source: str, name: str) -> None:
    # A session holds no secret of the environment, also where a question does.
    now = QuestionSet.from_json(mask_value(now.to_json(), environment_mask()), source)
    if asked.questions == now.questions:
        return
    new = {question.id: question for question in now.questions}
    for question in asked.questions:
        other = new.pop(question.id, None)
        if other is not None and (other.turns, other.system) == (question.turns, question.system):
            continue
        what = "is no longer there" if other is None else "was changed"
        raise _changed_error(f"question {question.id} {what} in {source}", name)
    if new:
        raise _changed_error(f"question {next(iter(new))} is new in {source}", name)


def _changed_error(what: str, name: str) -> UserError:
    return UserError(
        f"{what} since {name} began",
        "put the set back, or move it away to go on with what was asked then, or begin a new "
        "session with `duibi run`",
    )
