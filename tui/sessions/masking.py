"""Events without the secrets of the environment, whoever wrote them into an event."""

from dataclasses import replace
from typing import Any, TypeVar

from tui.events import Answered, Body, Cancelled, Delta, Failed, json_form
from tui.host.secrets import Mask, StreamMask

_B = TypeVar("_B", bound=Body)


def mask_body(body: _B, mask: Mask) -> _B:
    """``body`` with the secrets in all of its texts masked."""
    if not mask:
        return body
    if isinstance(body, Delta):
        return replace(body, text=mask.redact(body.text))
    before = json_form.payload(body)
    after = mask_value(before, mask)
    return body if after == before else json_form.decode_body(body.kind, after)  # type: ignore[return-value]


class AnswerMask:
    """Masks the texts of answers that come in pieces, each answer's and its reasoning's apart."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._streams: dict[tuple[int, bool], StreamMask] = {}

    def feed(self, body: Body) -> list[Body]:
        """What is to be recorded in place of ``body``: a piece of text without what may be the
        beginning of a secret, and what was so held back before the end of its answer."""
        match body:
            case Delta(answer=answer, text=text, reasoning=reasoning) if self._mask:
                rest = self._finish(answer, False) if body.recast else []
                stream = self._streams.setdefault((answer, reasoning), StreamMask(self._mask))
                return [*rest, replace(body, text=stream.feed(text))]
            case Answered() | Failed() | Cancelled():
                id_ = body.answer
                return [*self._finish(id_, True), *self._finish(id_, False), body]
        return [body]

    def _finish(self, answer: int, reasoning: bool) -> list[Body]:
        stream = self._streams.pop((answer, reasoning), None)
        text = stream.finish() if stream else ""
        return [Delta(answer, 0, text, reasoning)] if text else []


def mask_value(value: Any, mask: Mask) -> Any:
    """A JSON value with the secrets in all of its texts masked."""
    if isinstance(value, str):
        return mask.redact(value)
    if isinstance(value, dict):
        return {key: mask_value(item, mask) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask_value(item, mask) for item in value]
    return value
