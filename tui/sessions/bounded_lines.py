"""The one-line texts of a session, of a length that can be drawn, and the sizes in its header:
anyone can have written the file. What is shown is cut; what is looked for by its text is refused
where it is too long; a size below 0 is none."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tui import events as ev
from tui.events import Event
from tui.text.width import shorten

MAX_LINE = 200
"""Characters of a label, a title, the name of a set or of a category."""
MAX_NAME = 4096
"""Characters of a model's reference, a question's id, a path, and of anything else in one line."""


class LongLineError(ValueError):
    """A text that identifies something and is longer than any that a run writes."""


def bound_lines(event: Event) -> Event:
    """The event, its texts that stand on one line no longer than they may be.

    Raises:
        LongLineError: a model's reference or a question's id is longer.
    """
    body = event.body
    if isinstance(body, ev.Session):
        asked = body.questions.items()
        title = {"title": _bounded(body.settings["title"])} if "title" in body.settings else {}
        bounded = replace(
            body,
            models=[_model(one) for one in body.models],
            questions={k: _questions(v) if k == "questions" else _head(k, v) for k, v in asked},
            host=_bounded(_sizes(body.host), MAX_NAME),
            settings={**body.settings, **title},
        )
        return replace(event, body=bounded)
    if isinstance(body, ev.Joined):
        return replace(event, body=replace(body, model=_model(body.model)))
    if isinstance(body, ev.Resumed):
        return replace(event, body=replace(body, host=_bounded(_sizes(body.host), MAX_NAME)))
    if isinstance(body, ev.Note) and body.source == "title" and len(body.text) > MAX_LINE:
        return replace(event, body=replace(body, text=shorten(body.text, MAX_LINE)))
    return event


def _model(model: Any) -> Any:
    if type(model) is not dict:
        return model
    _require_short(model.get("name"), f"a model's name is longer than {MAX_NAME} characters")
    label = model.get("label")
    # What was asked for may be below 0.
    asked = {"settings": model["settings"]} if "settings" in model else {}
    bounded = _bounded(_sizes(model), MAX_NAME) | asked
    return bounded | ({"label": _without_middle(str(label))} if label else {})


def _head(name: str, value: Any) -> Any:
    return _bounded(value, MAX_NAME if name == "source" else MAX_LINE)


def _questions(listed: Any) -> Any:
    if type(listed) is not list:
        return listed
    return [_question(one) if type(one) is dict else one for one in listed]


def _question(question: Mapping[str, Any]) -> Mapping[str, Any]:
    _require_short(question.get("id"), f"a question's id is longer than {MAX_NAME} characters")
    if "category" not in question:
        return question
    return {**question, "category": _bounded(question["category"])}


def _require_short(text: Any, fault: str) -> None:
    if isinstance(text, str) and len(text) > MAX_NAME:
        raise LongLineError(fault)


def _bounded(value: Any, limit: int = MAX_LINE) -> Any:
    if isinstance(value, str):
        return shorten(value, limit)
    if isinstance(value, dict):
        return {name: _bounded(one, limit) for name, one in value.items()}
    return [_bounded(one, limit) for one in value] if isinstance(value, list) else value


def _sizes(value: Any) -> Any:
    """The same without numbers below 0, which are no sizes."""
    if isinstance(value, dict):
        is_size = {k: type(v) not in (int, float) or v >= 0 for k, v in value.items()}
        return {k: _sizes(v) for k, v in value.items() if is_size[k]}
    return [_sizes(one) for one in value] if isinstance(value, list) else value


def _without_middle(text: str) -> str:
    """What labels differ in stands at their ends."""
    half = MAX_LINE // 2
    return text if len(text) <= MAX_LINE else f"{text[: half - 1]}…{text[-half:]}"
