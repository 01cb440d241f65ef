"""The dimensions that stars are given in: data of the question set or of the settings."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tui.events import Session
from tui.questions.question_set import MAX_DIMENSIONS


@dataclass(frozen=True, slots=True)
class Dimension:
    """``id`` is what stands in the session, ``en`` its English name."""

    id: str
    en: str = ""

    def name(self, lang: str) -> str:
        """How it is headed in a language; the id where it has no other name."""
        return self.en if lang == "en" and self.en else self.id


DEFAULT_DIMENSIONS = (
    Dimension("语言理解", "Understanding"),
    Dimension("回答逻辑", "Logic"),
    Dimension("幽默感", "Humour"),
    Dimension("输出流畅性", "Fluency"),
)
"""Speed is measured and therefore not a dimension."""


def dimension_name(id_: str, lang: str) -> str:
    """The name of a dimension of which only the id is known."""
    return next((d.name(lang) for d in DEFAULT_DIMENSIONS if d.id == id_), id_)


def configured_dimensions(header: Session) -> Any:
    """What a session's question set, else its settings, say of dimensions; for
    `resolve_dimensions`."""
    return header.questions.get("dimensions") or header.settings.get("dimensions")


def resolve_dimensions(configured: Any = None, rated: Iterable[str] = ()) -> tuple[Dimension, ...]:
    """The dimensions of a session.

    ``configured`` is a list of names, or of tables with ``id`` and ``en``, as a question set
    or the settings hold it; anything else counts as not given. What was already ``rated``
    in another dimension stays visible after them.
    """
    listed = (
        [_dimension(item) for item in configured] if isinstance(configured, list | tuple) else []
    )
    found = {d.id: d for d in listed if d is not None} or {d.id: d for d in DEFAULT_DIMENSIONS}
    for id_ in rated:
        found.setdefault(id_, Dimension(id_))
    return tuple(found.values())[:MAX_DIMENSIONS]


def _dimension(item: Any) -> Dimension | None:
    if isinstance(item, str) and item.strip():
        return Dimension(item.strip())
    if isinstance(item, Mapping) and isinstance(id_ := item.get("id"), str) and id_.strip():
        en = item.get("en", "")
        return Dimension(id_.strip(), en.strip() if isinstance(en, str) else "")
    return None
