"""The rows of one pane: a conversation of the board, wrapped, grown at its end only.

A :class:`Conversation` holds rows of text as a cache and nothing else; what there is to
show is always the board. `update` compares cheap marks (how many chunks, which state) and
does work for what is new alone, so a token costs the same however long the answer is.
"""

from bisect import bisect_right

from tui.app.pane.background_import import Later
from tui.app.pane.wrapping import Wrapped
from tui.app.style.appearance import Look, Piece
from tui.app.style.figures import bar
from tui.board import Answer, Board, Model, tail
from tui.events import Failed, Load
from tui.scoring.dimensions import shown_name
from tui.text.sanitise import clean, one_line

Row = list[Piece]

MARKDOWN = Later("tui.app.pane.markdown")
_NOTES = 2
"""So many of the newest remarks on a model are shown: the repetitions of one request."""


class Section:
    """Wrapped text with a style and a prefix on its first and its other rows."""

    def __init__(self, width: int, style: str, first: str = "", rest: str = "") -> None:
        self.style, self.first, self.rest = style, first, rest
        self._wrapped = Wrapped(width - len(rest))
        self._shown = 0

    def __len__(self) -> int:
        """Rows up to the last that is not empty (models often end in newlines), and a gap."""
        return self._shown + 1 if self._shown else 0

    def append(self, text: str) -> int:
        """Add text of anybody; returns the first row that changed."""
        safe, rows, before = clean(text), self._wrapped.rows, self._shown
        if not before:
            safe = safe.lstrip("\n")
        if not safe:
            return before
        changed = self._wrapped.append(safe)
        filled = (i for i in range(len(rows) - 1, changed - 1, -1) if rows[i].strip())
        self._shown = next(filled, min(before, changed) - 1) + 1
        return min(changed, before)

    def row(self, index: int) -> Row:
        """The row at an index below ``len``."""
        if index == self._shown:
            return []
        return [((self.rest if index else self.first) + self._wrapped.rows[index], self.style)]


class Finished:
    """Rows that do not change any more, and a gap."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows) + 1

    def row(self, index: int) -> Row:
        """The row at an index below ``len``."""
        return self._rows[index] if index < len(self._rows) else []


class Block:
    """One turn: prompt, reasoning, answer, and how it stands."""

    def __init__(self, answer: Answer, model: Model, width: int, look: Look) -> None:
        self.answer, self._look, self._width = answer, look, width
        self._waiting = "pane.paste" if model.engine == "pasted" else "pane.queued"
        self._shown = self._thought = 0
        self._mark: tuple[object, ...] = ()
        self._is_laid_out = False
        self.prompt = Section(width, "accent", "› ", "  ")
        self.prompt.append(answer.prompt)
        self.reasoning = Section(width, "muted", "┊ ", "┊ ")
        self.text: Section | Finished = Section(width, "text")
        self.closing: list[Row] = []

    def continues(self, answer: Answer) -> bool:
        """Whether ``answer`` is what this block shows, only further on."""
        return (
            answer.id == self.answer.id
            and answer.shown >= self._shown
            and answer.thought >= self._thought
            and answer.prompt == self.answer.prompt
        )

    def update(self, answer: Answer, may_move: bool) -> int | None:
        """Take in what is new; returns the first row that changed, None if none did.
        ``may_move``: nobody reads in the middle, rows may come to lie elsewhere."""
        self.answer = answer
        changed: list[int] = []
        if new := tail(answer.reasoning, answer.thought - self._thought):
            self._thought = answer.thought
            changed.append(len(self.prompt) + self.reasoning.append(new))
        new = tail(answer.chunks, answer.shown - self._shown)
        if new and isinstance(self.text, Section):
            MARKDOWN.begin()
            self._shown = answer.shown
            at = self.text.append(new)
            changed.append(len(self.prompt) + len(self.reasoning) + at)
        stars = tuple(answer.stars.items())
        mark = (answer.state, answer.figures, answer.failure, len(answer.notes), stars)
        if mark != self._mark:
            self._mark = mark
            self.closing = self._closing_rows()
            changed.append(len(self) - len(self.closing))
        if may_move and self.is_rough and self._smooth():
            changed.append(len(self.prompt) + len(self.reasoning))
        return min(changed) if changed else None

    @property
    def is_rough(self) -> bool:
        """Whether it is finished and may yet be laid out as Markdown."""
        return self.answer.state == "answered" and self._shown > 0 and not self._is_laid_out

    def _smooth(self) -> bool:
        """Lay a finished answer out, if that can be done now; whether rows changed."""
        if MARKDOWN.module is None:
            return False
        self._is_laid_out = True
        rows = MARKDOWN.module.rows(clean(self.answer.text), self._width)
        if rows is None:
            return False
        self.text = Finished(rows)
        return True

    def __len__(self) -> int:
        return len(self.prompt) + len(self.reasoning) + len(self.text) + len(self.closing)

    def row(self, index: int) -> Row:
        """The row at an index below ``len``."""
        for section in (self.prompt, self.reasoning, self.text):
            if index < len(section):
                return section.row(index)
            index -= len(section)
        return self.closing[index]

    def _closing_rows(self) -> list[Row]:
        say, answer, rows = self._look.say, self.answer, _Rows(self._width)
        if answer.started and answer.started.dropped_turns:
            rows.add(say("pane.dropped_turns", count=answer.started.dropped_turns), "muted")
        if answer.state == "queued":
            rows.add(say(self._waiting), "muted")
        elif answer.state == "cancelled":
            rows.add(say("pane.cancelled"), "warn")
        elif answer.failure is not None:
            rows.failure(answer.failure, self._look)
        elif answer.figures is not None:
            if answer.figures.finish == "length":
                rows.add(say("pane.length"), "warn")
            elif not answer.chunks and not answer.reasoning:
                rows.add(say("pane.empty"), "muted")
        for note in answer.notes:
            if note.source != "person":
                rows.add(note.text, "muted")
        if answer.remark:
            rows.add(f"✎ {answer.remark}", "accent")
        if answer.stars:
            names = {id_: shown_name(id_, say.language) for id_ in answer.stars}
            given = [f"{one_line(names[id_])} {'★' * n}" for id_, n in answer.stars.items()]
            rows.add("  ".join(given), "warn")
        return [*rows.made, []] if rows.made else []


class _Rows:
    def __init__(self, width: int) -> None:
        self.width = width
        self.made: list[Row] = []

    def add(self, text: str, style: str) -> None:
        self.made += [[(row, style)] for row in Wrapped(self.width, clean(text)).rows]

    def failure(self, failed: Failed, look: Look) -> None:
        self.add(f"✗ {one_line(look.say.failure(failed.cause, failed.message))}", "bad")
        if failed.next_step:
            self.add(f"→ {one_line(failed.next_step)}", "muted")

    def loading(self, load: Load, look: Look) -> None:
        stage = one_line(look.say.word("stage", load.stage))
        self.add(look.say("pane.loading", stage=stage), "muted")
        if load.total > 0:
            width = min(40, self.width - 8)
            filled, empty = bar(load.done / load.total, width)
            percent = min(100, load.done * 100 // load.total)
            self.made.append([(f"{filled}{empty} {percent:>3} %", "accent")])


class Conversation:
    """What one model said under one question, as rows of ``width`` cells."""

    def __init__(self, width: int, look: Look, hint: str) -> None:
        self.width, self._look, self._hint = width, look, hint
        self._blocks: list[Block] = []
        self._ends: list[int] = []
        self._closing: list[Row] = []

    def __len__(self) -> int:
        return (self._ends[-1] if self._ends else 0) + len(self._closing)

    def row(self, index: int) -> Row:
        """The row at an index below ``len``."""
        block = bisect_right(self._ends, index)
        start = self._ends[block - 1] if block else 0
        if block < len(self._blocks):
            return self._blocks[block].row(index - start)
        return self._closing[index - start]

    @property
    def is_rough(self) -> bool:
        """Whether an answer waits to be laid out."""
        return any(block.is_rough for block in self._blocks)

    def update(self, board: Board, model: Model, question: str, may_move: bool) -> int | None:
        """Take in what the board has; the first row that changed, None if none did.
        ``may_move``: finished answers may be laid out anew."""
        answers = board.conversation(model.index, question)
        changed: list[int] = []
        for index, answer in enumerate(answers):
            start = self._ends[index - 1] if index else 0
            if index == len(self._blocks) or not self._blocks[index].continues(answer):
                del self._blocks[index:], self._ends[index:]
                self._blocks.append(Block(answer, model, self.width, self._look))
                changed.append(start)
            at = self._blocks[index].update(answer, may_move)
            if at is not None:
                changed.append(start + at)
            self._ends[index : index + 1] = [start + len(self._blocks[index])]
        if len(answers) < len(self._blocks):
            del self._blocks[len(answers) :], self._ends[len(answers) :]
            changed.append(self._ends[-1] if self._ends else 0)
        closing = self._model_rows(model, bool(answers))
        if closing != self._closing:
            self._closing = closing
            changed.append(len(self) - len(closing))
        return min(changed) if changed else None

    def _model_rows(self, model: Model, answers: bool) -> list[Row]:
        say, rows = self._look.say, _Rows(self.width)
        if model.state == "failed" and model.failure is not None:
            rows.failure(model.failure, self._look)
        elif model.state == "loading" and model.load is not None:
            rows.loading(model.load, self._look)
        elif model.state == "waiting":
            rows.add(say("pane.waiting"), "muted")
        else:
            for note in model.loaded.notes if model.loaded else ():
                rows.add(f"· {one_line(note)}", "muted")
            if not answers:
                rows.add(self._hint, "muted")
        for noted in model.notes[-_NOTES:]:
            rows.add(f"· {one_line(noted.text)}", "muted")
        return rows.made


def loading(model: Model, look: Look) -> str:
    """Where the loading of a model is, in words."""
    load = model.load
    if load is None:
        return look.say("state.loading")
    stage = one_line(look.say.word("stage", load.stage))
    if load.total <= 0:
        return look.say("pane.loading", stage=stage)
    percent = min(100, load.done * 100 // load.total)
    return look.say("pane.loading_percent", stage=stage, percent=percent)
