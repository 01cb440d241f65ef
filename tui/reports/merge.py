"""One or several sessions of the same questions as one table of models and questions.

A column is one model under one way of asking: the same checkpoint under the same settings
in two sessions is one column with more answers, under other settings it is another one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tui import board as bd
from tui import events as ev
from tui.host.errors import UserError
from tui.sessions.reader import Reading

_SHAPE_NO_ANSWER = frozenset({"schedule", "blind", "repeat", "batch", "dimensions"})
"""Settings that change when or how answers are shown, not what a model is asked."""

_MODEL_KEYS = ("engine", "name", "family", "dtype", "revision", "checkpoint_bytes", "sha256")
"""What tells one model from another; not the folder, which differs between machines."""


@dataclass(frozen=True, slots=True)
class Source:
    """One session: ``index`` among all, what was read of it, and its state at the end."""

    index: int
    reading: Reading
    board: bd.Board

    @property
    def name(self) -> str:
        """The file's name."""
        return self.reading.path.name


@dataclass(slots=True)
class Track:
    """What happened over time with one model of one session: its loads, its memory
    (session time in microseconds, private and mapped bytes), and per answer the arrival of
    tokens (session time, number)."""

    loads: list[ev.Loaded] = field(default_factory=list)
    memory: list[tuple[int, int, int]] = field(default_factory=list)
    arrivals: dict[int, list[tuple[int, int]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """One model of one session, as a part of a column."""

    source: Source
    model: bd.Model
    head: dict[str, Any]
    track: Track


@dataclass(slots=True)
class Column:
    """One model as the report compares it. ``label`` is unique among the columns."""

    key: str
    label: str
    parts: list[Part]

    @property
    def loads(self) -> list[ev.Loaded]:
        """Every load, oldest first."""
        return [load for part in self.parts for load in part.track.loads]

    @property
    def answers(self) -> list[bd.Answer]:
        """Every answer, oldest first."""
        return [
            answer
            for part in self.parts
            for answer in part.source.board.answers.values()
            if answer.model == part.model.index
        ]


@dataclass(frozen=True, slots=True)
class Row:
    """One question: ``cells`` holds the ids of its answers by (source, model)."""

    id: str
    category: str
    turns: tuple[str, ...]
    free: bool
    data: dict[str, Any]
    cells: dict[tuple[int, int], list[int]]

    def entries(self, column: Column) -> list[tuple[int, bd.Answer]]:
        """All answers of a column to it with the index of their session, oldest first."""
        return [
            (part.source.index, part.source.board.answers[id_])
            for part in column.parts
            for id_ in self.cells.get((part.source.index, part.model.index), ())
        ]

    def answers(self, column: Column) -> list[bd.Answer]:
        """All answers of a column to it, oldest first."""
        return [answer for _, answer in self.entries(column)]

    def shown(self, column: Column) -> list[bd.Answer]:
        """One answer per turn, the newest complete one, else the newest."""
        best: dict[int, bd.Answer] = {}
        for answer in self.answers(column):
            old = best.get(answer.turn)
            if old is None or answer.state == "answered" or old.state != "answered":
                best[answer.turn] = answer
        return [best[turn] for turn in sorted(best)]


@dataclass(frozen=True, slots=True)
class Merged:
    """All sessions together."""

    sources: tuple[Source, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def column_of(self, source: int, model: int) -> Column | None:
        """The column that a model of a session went into."""
        return next(
            (
                column
                for column in self.columns
                for part in column.parts
                if (part.source.index, part.model.index) == (source, model)
            ),
            None,
        )


def merge(readings: Sequence[Reading]) -> Merged:
    """Put sessions of the same questions together.

    Raises:
        UserError: they asked different questions.
    """
    check_questions(readings)
    sources = [Source(i, r, bd.fold(r.events)) for i, r in enumerate(readings)]
    columns: dict[str, Column] = {}
    for source in sources:
        tracks = _tracks(source)
        seen: dict[str, int] = {}
        for model, head, track in zip(
            source.board.models, source.reading.header.models, tracks, strict=True
        ):
            key = _column_key(head, source.reading.header.settings)
            # The same model twice in one run was put there to be compared with itself.
            seen[key] = seen.get(key, 0) + 1
            if seen[key] > 1:
                key += f"#{seen[key]}"
            column = columns.setdefault(key, Column(key, model.label, []))
            column.parts.append(Part(source, model, head, track))
    _name_apart(list(columns.values()))
    return Merged(tuple(sources), tuple(columns.values()), tuple(_rows(sources)))


def check_questions(readings: Sequence[Reading]) -> None:
    """Only sessions of the same questions make one table.

    Raises:
        UserError: they asked different questions.
    """
    first = readings[0]
    for other in readings[1:]:
        if _question_key(other) != _question_key(first):
            titles = [str(r.header.questions.get("name", "?")) for r in (first, other)]
            raise UserError(
                f"{first.path.name} and {other.path.name} asked different questions "
                f"({titles[0]}, {titles[1]})",
                "report them one by one: only sessions of the same questions make one table",
            )


def _question_key(reading: Reading) -> str:
    listed = reading.header.questions.get("questions", [])
    asked = [[q.get("id"), q.get("turns"), q.get("system")] for q in listed]
    return json.dumps(asked, ensure_ascii=True, sort_keys=True)


def _column_key(head: dict[str, Any], settings: dict[str, Any]) -> str:
    of_model = {name: head[name] for name in _MODEL_KEYS if name in head}
    of_run = {k: v for k, v in settings.items() if k not in _SHAPE_NO_ANSWER}
    return json.dumps([of_model, of_run], ensure_ascii=True, sort_keys=True, default=str)


def _name_apart(columns: list[Column]) -> None:
    used: set[str] = set()
    for column in columns:
        label, number = column.label, 1
        while label in used:
            number += 1
            label = f"{column.label} ({number})"
        column.label = label
        used.add(label)


def _tracks(source: Source) -> list[Track]:
    tracks = [Track() for _ in source.board.models]
    for event in source.reading.events:
        if not 0 <= event.model < len(tracks):
            continue
        body, track = event.body, tracks[event.model]
        if type(body) is ev.Delta:
            track.arrivals.setdefault(body.answer, []).append((event.t_us, body.n))
        elif type(body) is ev.Memory:
            track.memory.append((event.t_us, body.private, body.mapped))
        elif type(body) is ev.Loaded:
            track.loads.append(body)
    return tracks


def _rows(sources: Sequence[Source]) -> list[Row]:
    rows: dict[tuple[str, ...], Row] = {}
    for source in sources:
        data = {
            str(q.get("id", i + 1)): q
            for i, q in enumerate(source.reading.header.questions.get("questions", []))
        }
        for question in source.board.questions:
            # A question that a person typed is known by its words, one of the set by its id.
            key = ("free", *question.turns) if question.free else ("set", question.id)
            row = rows.get(key)
            if row is None:
                row = rows[key] = Row(
                    question.id,
                    question.category,
                    question.turns,
                    question.free,
                    {} if question.free else data.get(question.id, {}),
                    {},
                )
            for model in range(len(source.board.models)):
                if ids := source.board.by_cell.get((model, question.id)):
                    row.cells.setdefault((source.index, model), []).extend(dict.fromkeys(ids))
    return list(rows.values())
