"""What the events of an answer say together."""

from collections.abc import Iterable
from typing import TypeVar

from tui.events import Body, Delta

Kind = TypeVar("Kind")


def expect(kind: type[Kind], value: object) -> Kind:
    """The value, which must be of a kind."""
    assert isinstance(value, kind), value
    return value


def text_of(bodies: Iterable[Body], answer: int | None = None) -> str:
    """The text of all pieces, or of one answer's."""
    return "".join(
        body.text for body in bodies if isinstance(body, Delta) and answer in (None, body.answer)
    )
