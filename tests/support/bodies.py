"""What the events of an answer say together."""

from collections.abc import Iterable

from tui.events import Body, Delta


def text_of(bodies: Iterable[Body], answer: int | None = None) -> str:
    """The text of all pieces, or of one answer's."""
    return "".join(
        body.text for body in bodies if isinstance(body, Delta) and answer in (None, body.answer)
    )
