"""The rows of one pane: a conversation of the board, wrapped, grown at its end only.

A `Conversation` holds wrapped rows as a cache; the board is the only state. `update` compares
cheap marks (how many chunks, which state) and wraps only new text: the cost per token does not
grow with the answer.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from tui.app.pane.background_import import BackgroundImport
from tui.app.pane.wrapping import WrappedText
from tui.app.style.appearance import Appearance, StyledText
from tui.app.style.bars import progress_bar
from tui.board import Answer, Board, Model, last_characters
from tui.events import TORCH, Answered, Failed, Load, Loaded
from tui.metrics import known_contender
from tui.scoring.repeated_answers import Place, place_of
from tui.scoring.stars import Stars, stars_of
from tui.text.sanitise import clean, one_line
from tui.text.units import format_milliseconds

StyledRow = list[StyledText]

MARKDOWN = BackgroundImport("tui.app.pane.markdown")
_MAX_NOTES = 2
"""Number of newest notes on a model that are shown."""


class TextSection:
    """Wrapped text with a style and a prefix on its first and its other rows."""

    def __init__(self, width: int, style: str, first: str = "", rest: str = "") -> None:
        self.style, self.first, self.rest = style, first, rest
        self._wrapped = WrappedText(width - len(rest))
        self._shown = 0

    def __len__(self) -> int:
        """Rows up to the last that is not empty (models often end in newlines), and a gap."""
        return self._shown + 1 if self._shown else 0

    def append(self, text: str) -> int:
        """Append untrusted text; returns the first row that changed."""
        safe, rows, before = clean(text), self._wrapped.rows, self._shown
        if not before:
            safe = safe.lstrip("\n")
        if not safe:
            return before
        changed = self._wrapped.append(safe)
        filled = (i for i in range(len(rows) - 1, changed - 1, -1) if rows[i].strip())
        self._shown = next(filled, min(before, changed) - 1) + 1
        return min(changed, before)

    def row(self, index: int) -> StyledRow:
        """The row at an index below ``len``."""
        if index == self._shown:
            return []
        return [((self.rest if index else self.first) + self._wrapped.rows[index], self.style)]


class FixedRows:
    """Rows that do not change any more, and a gap."""

    def __init__(self, rows: list[StyledRow]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows) + 1

    def row(self, index: int) -> StyledRow:
        """The row at an index below ``len``."""
        return self._rows[index] if index < len(self._rows) else []


@dataclass(frozen=True, slots=True)
class PaneView:
    """How a conversation is shown: ``is_raw`` as the text came, with what the program noted of
    the model; ``prompt_above`` is the prompt that stands above all panes, and so not in them."""

    width: int
    is_raw: bool = False
    prompt_above: str = ""


class TurnBlock:
    """One turn: prompt, reasoning, answer, and how it stands."""

    def __init__(
        self, answer: Answer, model: Model, view: PaneView, appearance: Appearance
    ) -> None:
        self.answer, self._appearance, width = answer, appearance, view.width
        self._width, self._is_raw = width, view.is_raw
        self._waiting = "pane.paste" if model.engine == "pasted" else "pane.queued"
        self._shown = self._thought = 0
        self._mark: tuple[object, ...] = ()
        self._is_laid_out = False
        self.prompt = TextSection(width, "accent", "› ", "  ")
        if answer.turn or answer.prompt != view.prompt_above:
            self.prompt.append(answer.prompt)
        self.reasoning = TextSection(width, "muted", "┊ ", "┊ ")
        self.text: TextSection | FixedRows = TextSection(width, "text")
        self.closing: list[StyledRow] = []

    def continues(self, answer: Answer) -> bool:
        """Whether ``answer`` is what this block shows, only further on."""
        return (
            answer.id == self.answer.id
            and answer.text_length >= self._shown
            and answer.reasoning_length >= self._thought
            and answer.prompt == self.answer.prompt
        )

    def update(
        self,
        answer: Answer,
        stars: Stars,
        votes: Sequence[str],
        place: Place | None,
        may_reflow: bool,
    ) -> int | None:
        """Take in what is new; returns the first row that changed, None if none did.
        ``stars`` are its own, ``votes`` those on it in words, ``place`` its among several answers
        to its turn; ``may_reflow``: the reader is not scrolled back, so rows above may change."""
        self.answer = answer
        changed: list[int] = []
        if new := last_characters(answer.reasoning, answer.reasoning_length - self._thought):
            self._thought = answer.reasoning_length
            changed.append(len(self.prompt) + self.reasoning.append(new))
        new = last_characters(answer.chunks, answer.text_length - self._shown)
        if new and isinstance(self.text, TextSection):
            MARKDOWN.start()
            self._shown = answer.text_length
            at = self.text.append(new)
            changed.append(len(self.prompt) + len(self.reasoning) + at)
        mark = (
            answer.state,
            answer.figures,
            answer.failure,
            len(answer.notes),
            stars,
            votes,
            place,
        )
        if mark != self._mark:
            self._mark = mark
            self.closing = self._closing_rows(stars, votes, place)
            changed.append(len(self) - len(self.closing))
        if may_reflow and self.is_unformatted and self._lay_out():
            changed.append(len(self.prompt) + len(self.reasoning))
        return min(changed) if changed else None

    @property
    def is_unformatted(self) -> bool:
        """Whether it is finished and may yet be laid out as Markdown."""
        is_done = self.answer.state == "answered" and self._shown > 0
        return is_done and not self._is_laid_out and not self._is_raw

    def _lay_out(self) -> bool:
        """Lay a finished answer out, if that can be done now; whether rows changed."""
        if MARKDOWN.module is None:
            return False
        self._is_laid_out = True
        rows = MARKDOWN.module.rows(clean(self.answer.text), self._width)
        if rows is None:
            return False
        self.text = FixedRows(rows)
        return True

    def __len__(self) -> int:
        return len(self.prompt) + len(self.reasoning) + len(self.text) + len(self.closing)

    def row(self, index: int) -> StyledRow:
        """The row at an index below ``len``."""
        for section in (self.prompt, self.reasoning, self.text):
            if index < len(section):
                return section.row(index)
            index -= len(section)
        return self.closing[index]

    def _closing_rows(
        self, stars: Stars, votes: Sequence[str], place: Place | None
    ) -> list[StyledRow]:
        say, answer, rows = self._appearance.say, self.answer, _RowBuilder(self._width)
        if answer.started and answer.started.dropped_turns:
            rows.add(say("pane.dropped_turns", count=answer.started.dropped_turns), "muted")
        if answer.state == "queued":
            rows.add(say(self._waiting), "muted")
        elif answer.state == "cancelled":
            rows.add(say("pane.cancelled"), "warn")
        elif answer.failure is not None:
            rows.add_failure(answer.failure, self._appearance)
        elif answer.figures is not None:
            if answer.figures.finish == "length":
                rows.add(say("pane.length"), "warn")
            elif answer.figures.finish == "repetition":
                rows.add(say("pane.repetition", token=answer.figures.repeats_from), "warn")
            elif not answer.chunks and not answer.reasoning:
                rows.add(say("pane.empty"), "muted")
            if answer.is_all_thought:
                rows.add(say("pane.all_thought"), "warn")
            elif answer.figures.thought_tokens and answer.figures.answer_ttft_ms is not None:
                key = "pane.thought_cut" if answer.figures.thought_cut else "pane.thought"
                tokens = answer.figures.thought_tokens
                after = format_milliseconds(answer.figures.answer_ttft_ms)
                rows.add(say(key, tokens=tokens, time=after), "muted")
            if answer.figures.contended:
                rows.add(contention_text(answer.figures, self._appearance), "muted")
        for text in dict.fromkeys(say.told(n.text) for n in answer.notes if n.source != "person"):
            rows.add(text, "muted")
        if answer.person_note:
            rows.add(f"✎ {answer.person_note}", "accent")
        if stars:
            given = [f"{one_line(one.name(say.language))} {'★' * n}" for one, n in stars]
            rows.add_pieces(given, "warn")
        for vote in votes:
            rows.add(vote, "accent")
        if place is not None:
            key = "pane.place_counts" if place.counts else "pane.place"
            said = say(key, number=place.number, count=place.count)
            alike = say("pane.alike", alike=place.alike, count=place.count) if place.alike else ""
            rows.add(f"{said} {alike}".rstrip(), "muted")
        return [*rows.rows, []] if rows.rows else []


def contention_text(figures: Answered, appearance: Appearance) -> str:
    """Why the figures of an answer, marked with ``*``, are not those of the model alone."""
    by = known_contender(figures.contended_by, figures.lost) or "unknown"
    return appearance.say(f"contended.{by}", lost=f"{figures.lost:.0%}")


class _RowBuilder:
    def __init__(self, width: int) -> None:
        self.width = width
        self.rows: list[StyledRow] = []

    def add(self, text: str, style: str) -> None:
        self.rows += [[(row, style)] for row in WrappedText(self.width, clean(text)).rows]

    def add_pieces(self, pieces: Sequence[str], style: str) -> None:
        """Pieces beside each other, each whole in one row where there is room for it."""
        line = ""
        for piece in pieces:
            if line and cell_len(f"{line}  {piece}") > self.width:
                self.add(line, style)
                line = ""
            line = f"{line}  {piece}" if line else piece
        self.add(line, style)

    def add_failure(self, failed: Failed, appearance: Appearance) -> None:
        self.add(f"✗ {one_line(appearance.say.failure(failed.cause, failed.message))}", "bad")
        if failed.next_step:
            self.add(f"→ {one_line(appearance.say.told(failed.next_step))}", "muted")

    def add_loading(self, load: Load, appearance: Appearance) -> None:
        stage = one_line(appearance.say.told(appearance.say.word("stage", load.stage)))
        self.add(appearance.say("pane.loading", stage=stage), "muted")
        if load.total > 0:
            width = min(40, self.width - 8)
            filled, empty = progress_bar(load.done / load.total, width)
            percent = min(100, load.done * 100 // load.total)
            self.rows.append([(f"{filled}{empty} {percent:>3} %", "accent")])


class Conversation:
    """What one model said under one question, as rows."""

    def __init__(self, view: PaneView, appearance: Appearance, hint: str) -> None:
        self.view, self._appearance, self._hint = view, appearance, hint
        self._blocks: list[TurnBlock] = []
        self._ends: list[int] = []
        self._closing: list[StyledRow] = []

    def __len__(self) -> int:
        return (self._ends[-1] if self._ends else 0) + len(self._closing)

    def row(self, index: int) -> StyledRow:
        """The row at an index below ``len``."""
        block = bisect_right(self._ends, index)
        start = self._ends[block - 1] if block else 0
        if block < len(self._blocks):
            return self._blocks[block].row(index - start)
        return self._closing[index - start]

    @property
    def has_unformatted(self) -> bool:
        """Whether an answer waits to be laid out."""
        return any(block.is_unformatted for block in self._blocks)

    def update(self, board: Board, model: Model, question: str, may_reflow: bool) -> int | None:
        """Take in what the board has; the first row that changed, None if none did.
        ``may_reflow``: finished answers may be laid out anew."""
        answers = board.conversation(model.index, question)
        changed: list[int] = []
        for index, answer in enumerate(answers):
            start = self._ends[index - 1] if index else 0
            if index == len(self._blocks) or not self._blocks[index].continues(answer):
                del self._blocks[index:], self._ends[index:]
                self._blocks.append(TurnBlock(answer, model, self.view, self._appearance))
                changed.append(start)
            votes = vote_texts(board, answer, self._appearance) if board.ballots else ()
            stars = stars_of(board, answer) if answer.ratings else ()
            place = place_of(board, answer)
            at = self._blocks[index].update(answer, stars, votes, place, may_reflow)
            if at is not None:
                changed.append(start + at)
            self._ends[index : index + 1] = [start + len(self._blocks[index])]
        if len(answers) < len(self._blocks):
            del self._blocks[len(answers) :], self._ends[len(answers) :]
            changed.append(self._ends[-1] if self._ends else 0)
        closing = self._model_rows(model, answers)
        if closing != self._closing:
            self._closing = closing
            changed.append(len(self) - len(closing))
        return min(changed) if changed else None

    def _model_rows(self, model: Model, answers: Sequence[Answer]) -> list[StyledRow]:
        say, rows = self._appearance.say, _RowBuilder(self.view.width)
        if model.state == "failed" and model.failure is not None:
            rows.add_failure(model.failure, self._appearance)
        elif model.state == "loading" and model.load is not None:
            rows.add_loading(model.load, self._appearance)
        elif model.state == "waiting":
            rows.add(say("pane.waiting"), "muted")
        else:
            # A pane is for the answer: how the model is computed stands there only where asked.
            # Where nothing is computed here the notes say what a person has to do.
            loaded, is_raw = model.loaded, self.view.is_raw
            if is_raw and loaded and loaded.kernels:
                rows.add(f"· {one_line(kernels_text(loaded, self._appearance))}", "muted")
            if loaded and (is_raw or not (loaded.load_s or any(a.chunks for a in answers))):
                for note in dict.fromkeys(loaded.notes):
                    rows.add(f"· {one_line(say.told(note))}", "muted")
        if not answers and model.failure is None:
            rows.add(self._hint, "muted")
        for text in list(dict.fromkeys(note.text for note in model.notes))[-_MAX_NOTES:]:
            rows.add(f"· {one_line(self._appearance.say.told(text))}", "muted")
        return rows.rows


def vote_texts(board: Board, answer: Answer, appearance: Appearance) -> tuple[str, ...]:
    """What a person's votes say of an answer, one for each other answer."""
    found = []
    for (_, left, right), choice in board.votes.items():
        other = board.answers.get(right if left == answer.id else left)
        if answer.id not in (left, right) or choice == "none" or other is None:
            continue
        side = "left" if left == answer.id else "right"
        name = choice if choice in ("tie", "bad") else "better" if choice == side else "worse"
        label = one_line(board.models[other.model].label)
        found.append(appearance.say(f"vote.pane_{name}", label=label))
    return tuple(found)


def kernels_text(loaded: Loaded, appearance: Appearance) -> str:
    """The format and whose kernels compute, with what is amiss with them."""
    name = "pane.torch_kernels" if loaded.kernels == TORCH else "pane.own_kernels"
    text = appearance.say(name, dtype=loaded.dtype, kernels=loaded.kernels)
    return f"{text} ({loaded.kernels_note})" if loaded.kernels_note else text


def loading_text(model: Model, appearance: Appearance) -> str:
    """Where the loading of a model is, in words."""
    load = model.load
    if load is None:
        return appearance.say("state.loading")
    stage = one_line(appearance.say.told(appearance.say.word("stage", load.stage)))
    if load.total <= 0:
        return appearance.say("pane.loading", stage=stage)
    percent = min(100, load.done * 100 // load.total)
    return appearance.say("pane.loading_percent", stage=stage, percent=percent)
