"""The header of a session: event 0 of a run."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

VERSION = 1
"""Of the session format."""

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Session:
    """The header, event 0: all that is known before the first model is loaded.

    ``models`` holds one object per model: ``name`` (the reference as given), ``label``
    (what a pane is headed with), ``engine`` and what was resolved (checkpoint, family,
    dtype, revision, context, sampling, prompt format), ``settings`` of that column alone, and
    ``weights_of``, the number of the model whose worker holds its weights too. ``questions`` is
    the whole question set in the form of `tui.questions`; ``settings`` what the run was asked for.
    """

    kind: ClassVar[str] = "session"
    v: int
    program: str
    started: str
    models: list[JsonObject]
    questions: JsonObject
    host: JsonObject = field(default_factory=dict)
    settings: JsonObject = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """What each model is headed with: its label, else its name."""
        return [str(m.get("label") or m.get("name", "?")) for m in self.models]

    def settings_of(self, model: JsonObject) -> JsonObject:
        """The settings that one of ``models`` was asked with: the run's, and its own instead."""
        own = model.get("settings")
        return {**self.settings, **own} if isinstance(own, dict) else self.settings

    @property
    def columns_that_share(self) -> list[int]:
        """The numbers of the models whose weights another one before them holds."""
        held = [model.get("weights_of") for model in self.models]
        return [i for i, first in enumerate(held) if type(first) is int and 0 <= first < i]

    @property
    def title(self) -> str:
        """The title of the question set, else its name; may be empty."""
        return str(self.questions.get("title") or self.questions.get("name", ""))

    @property
    def own_title(self) -> str:
        """What a person called the session when it began; may be empty."""
        return str(self.settings.get("title") or "")

    @property
    def listed_questions(self) -> list[JsonObject]:
        """The questions of the set as they stand in the header; those typed are not there."""
        listed = self.questions.get("questions", [])
        return [q for q in listed if isinstance(q, dict)] if isinstance(listed, list) else []
