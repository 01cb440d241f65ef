"""One or several sessions of the same questions as one table of models and questions.

A column is one model under one way of asking: the same checkpoint under the same settings
in two sessions is one column with more answers, under other settings it is another one.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tui import board as bd
from tui import events as ev
from tui.host.errors import UserError
from tui.options import RunOptions
from tui.reports.copies import unite_copies
from tui.scoring.dimensions import Dimension, configured_dimensions, resolve_dimensions
from tui.scoring.sampling import sampling_of
from tui.sessions import storage
from tui.sessions.reader import RecordedSession
from tui.setting_kinds import declarations
from tui.text.unused_name import unused_name

_SETTINGS_WITHOUT_EFFECT = {
    name for name, one in declarations(RunOptions).items() if one.effect == "run"
}
"""Settings that change when or how answers are shown, not what a model is asked."""

_MODEL_KEYS = ("engine", "name", "family", "dtype", "revision", "checkpoint_bytes", "sha256")
"""Fields that identify a model; not its folder, which differs between machines."""


@dataclass(frozen=True, slots=True)
class SourceSession:
    """One session: ``index`` among all, what was read of it, its state at the end, and the names
    of other files of the same run."""

    index: int
    recorded: RecordedSession
    board: bd.Board
    copies: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name."""
        return self.recorded.path.name

    @property
    def state(self) -> str:
        """How far it could be read, or that it is still written (`storage.state_of`)."""
        return storage.state_of(self.recorded.path, self.recorded.verdict)


@dataclass(slots=True)
class ModelTimeline:
    """What happened over time with one model of one session: its memory (session time in
    microseconds, private and mapped bytes), per answer the arrival of tokens (session time,
    number), why it could not be loaded, oldest first, and whether a file was converted while it
    loaded, and not only looked up among those kept."""

    memory: list[tuple[int, int, int]] = field(default_factory=list)
    arrivals: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    was_converted: bool = False


@dataclass(frozen=True, slots=True)
class ColumnPart:
    """One model of one session, as a part of a column."""

    source: SourceSession
    model: bd.Model
    head: dict[str, Any]
    track: ModelTimeline


@dataclass(slots=True)
class ModelColumn:
    """One model as the report compares it. ``label`` is unique among the columns."""

    key: str
    label: str
    parts: list[ColumnPart]

    @property
    def shares_weights(self) -> bool:
        """Whether another model's worker made all of its answers."""
        return all(
            part.model.index in part.source.recorded.header.columns_that_share
            for part in self.parts
        )

    @property
    def was_converted(self) -> bool:
        """Whether a file was converted while it loaded, in any of its sessions."""
        return any(part.track.was_converted for part in self.parts)

    @property
    def loads(self) -> list[ev.Loaded]:
        """Every load, oldest first."""
        return [load for part in self.parts for load in part.model.loads]

    @property
    def sampling(self) -> dict[str, Any]:
        """How its tokens were chosen (`tui.scoring.sampling`)."""
        part = self.parts[0]
        own = self.loads[-1].sampling if self.loads else {}
        return sampling_of(part.source.recorded.header.settings_of(part.head), own)

    @property
    def measures(self) -> list[ev.Measured]:
        """The standard measure of each session that has one, oldest first."""
        return [told for part in self.parts if (told := part.model.measured)]

    @property
    def answers(self) -> list[bd.Answer]:
        """Every answer, oldest first."""
        return [
            answer
            for part in self.parts
            for answer in part.source.board.answers.values()
            if answer.model == part.model.index
        ]

    @property
    def outcomes(self) -> list[bd.Answer]:
        """What came of all it was asked (`_outcomes`), oldest first."""
        return _outcomes(
            (part.source.index, answer)
            for part in self.parts
            for answer in part.source.board.answers.values()
            if answer.model == part.model.index
        )


@dataclass(frozen=True, slots=True)
class QuestionRow:
    """One question: ``answer_ids`` holds the ids of its answers by (source, model)."""

    id: str
    category: str
    turns: tuple[str, ...]
    is_typed: bool
    data: dict[str, Any]
    answer_ids: dict[tuple[int, int], list[int]]

    def ids_in(self, source: int) -> set[int]:
        """The ids of all its answers in one session."""
        return {
            id_ for (index, _), ids in self.answer_ids.items() if index == source for id_ in ids
        }

    def answers_by_session(self, column: ModelColumn) -> list[tuple[int, bd.Answer]]:
        """All answers of a column to it with the index of their session, oldest first."""
        return [
            (part.source.index, part.source.board.answers[id_])
            for part in column.parts
            for id_ in self.answer_ids.get((part.source.index, part.model.index), ())
        ]

    def answers(self, column: ModelColumn) -> list[bd.Answer]:
        """All answers of a column to it, oldest first."""
        return [answer for _, answer in self.answers_by_session(column)]

    def outcomes(self, column: ModelColumn) -> list[bd.Answer]:
        """What came of a column's answers to it (`_outcomes`), oldest first."""
        return _outcomes(self.answers_by_session(column))

    def scored_answers(self, column: ModelColumn) -> list[bd.Answer]:
        """Its answers, but where a person chose the one of a turn that counts only that."""
        return [
            answer
            for part in column.parts
            for id_ in self.answer_ids.get((part.source.index, part.model.index), ())
            if part.source.board.is_scored(answer := part.source.board.answers[id_])
        ]

    def shown_answers(self, column: ModelColumn) -> list[bd.Answer]:
        """One answer per turn, the newest complete one, else the newest."""
        best: dict[int, bd.Answer] = {}
        for answer in self.answers(column):
            old = best.get(answer.turn)
            if old is None or answer.state == "answered" or old.state != "answered":
                best[answer.turn] = answer
        return [best[turn] for turn in sorted(best)]


def _outcomes(entries: Iterable[tuple[int, bd.Answer]]) -> list[bd.Answer]:
    """Of a model's answers, with the index of their session, the newest to each turn of each
    repeat: what was asked for again counts by how it ended."""
    newest = {(source, a.question, a.turn, a.repeat): a for source, a in entries}
    return list(newest.values())


@dataclass(frozen=True, slots=True)
class MergedSessions:
    """All sessions together."""

    sources: tuple[SourceSession, ...]
    columns: tuple[ModelColumn, ...]
    rows: tuple[QuestionRow, ...]

    @property
    def under_way(self) -> frozenset[int]:
        """The identities (`id`) of answers that are still coming, in sessions still written."""
        running = (source.board for source in self.sources if source.state == "running")
        return frozenset(id(answer) for board in running for answer in board.open_answers())

    def labelled(self, label: str) -> ModelColumn:
        """The column of a label."""
        return next(column for column in self.columns if column.label == label)

    def column_of(self, source: int, model: int) -> ModelColumn | None:
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


def merge_sessions(sessions: Sequence[RecordedSession]) -> MergedSessions:
    """Put sessions of the same questions together; several files of one run are one session.

    Raises:
        UserError: they asked different questions.
    """
    require_same_questions(sessions)
    sources = [
        SourceSession(i, one.recorded, bd.fold(one.recorded.events), one.copies)
        for i, one in enumerate(unite_copies(sessions))
    ]
    columns: dict[str, ModelColumn] = {}
    for source in sources:
        tracks = _tracks(source)
        seen: dict[str, int] = {}
        for model, head, track in zip(
            source.board.models, source.recorded.header.models, tracks, strict=True
        ):
            key = _column_key(head, source.recorded.header.settings_of(head))
            # The same model twice in one run gets two columns.
            seen[key] = seen.get(key, 0) + 1
            if seen[key] > 1:
                key += f"#{seen[key]}"
            column = columns.setdefault(key, ModelColumn(key, model.label, []))
            column.parts.append(ColumnPart(source, model, head, track))
    _make_labels_unique(list(columns.values()))
    return MergedSessions(tuple(sources), tuple(columns.values()), tuple(_rows(sources)))


def require_same_questions(sessions: Sequence[RecordedSession]) -> None:
    """Only sessions of the same questions make one table.

    Raises:
        UserError: they asked different questions.
    """
    first = sessions[0]
    for other in sessions[1:]:
        if _question_key(other) != _question_key(first):
            titles = [str(r.header.questions.get("name", "?")) for r in (first, other)]
            raise UserError(
                f"{first.path.name} and {other.path.name} asked different questions "
                f"({titles[0]}, {titles[1]})",
                "report them one by one: only sessions of the same questions make one table",
            )


def _question_key(reading: RecordedSession) -> str:
    listed = reading.header.listed_questions
    asked = [[q.get("id"), q.get("turns"), q.get("system")] for q in listed]
    return json.dumps(asked, ensure_ascii=True, sort_keys=True)


def _column_key(head: dict[str, Any], settings: dict[str, Any]) -> str:
    of_model = {name: head[name] for name in _MODEL_KEYS if name in head}
    of_run = {k: v for k, v in settings.items() if k not in _SETTINGS_WITHOUT_EFFECT}
    return json.dumps([of_model, of_run], ensure_ascii=True, sort_keys=True, default=str)


def _make_labels_unique(columns: list[ModelColumn]) -> None:
    used: set[str] = set()
    for column in columns:
        column.label = unused_name(column.label, used, "{} ({})")
        used.add(column.label)


def _tracks(source: SourceSession) -> list[ModelTimeline]:
    tracks = [ModelTimeline() for _ in source.board.models]
    arrivals = [defaultdict[int, list[tuple[int, int]]](list) for _ in tracks]
    for event in source.recorded.events:
        body, model = event.body, event.model
        if not 0 <= model < len(tracks):
            continue
        if type(body) is ev.Delta:
            arrivals[model][body.answer].append((event.t_us, body.n))
        elif type(body) is ev.Memory:
            tracks[model].memory.append((event.t_us, body.private, body.mapped))
        elif type(body) is ev.Failed and body.answer == -1:
            tracks[model].failures.append(body.message)
        elif type(body) is ev.Load and body.stage == "convert" and body.total > 0:
            tracks[model].was_converted = True
    for track, found in zip(tracks, arrivals, strict=True):
        track.arrivals.update(found)
    return tracks


def _rows(sources: Sequence[SourceSession]) -> list[QuestionRow]:
    rows: dict[tuple[str, ...], QuestionRow] = {}
    for source in sources:
        data = {
            str(q.get("id", i + 1)): q
            for i, q in enumerate(source.recorded.header.listed_questions)
        }
        for question in source.board.questions:
            # A typed question is identified by its text, one of the set by its id.
            key = ("free", *question.turns) if question.is_typed else ("set", question.id)
            row = rows.get(key)
            if row is None:
                row = rows[key] = QuestionRow(
                    question.id,
                    question.category,
                    question.turns,
                    question.is_typed,
                    {} if question.is_typed else data.get(question.id, {}),
                    {},
                )
            for model in range(len(source.board.models)):
                if ids := source.board.answer_ids.get((model, question.id)):
                    row.answer_ids.setdefault((source.index, model), []).extend(dict.fromkeys(ids))
    return list(rows.values())


def dimensions_of(merged: MergedSessions) -> tuple[Dimension, ...]:
    """The dimensions that stars were, or would be, given in."""
    given: Any = None
    for source in merged.sources:
        given = given or configured_dimensions(source.recorded.header)
    rated = (d for column in merged.columns for a in column.answers for (_, d) in a.ratings)
    return resolve_dimensions(given, rated)
