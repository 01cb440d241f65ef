"""``duibi rate``: stars and votes with single keys in a plain terminal."""

import shlex
import shutil
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import typer
from rich.cells import set_cell_size

from tui.app.pane.wrapping import wrap_line
from tui.board import Board, fold
from tui.board.judgements import MAX_STARS
from tui.cli.support import settings_in_force
from tui.cli.support.key_input import read_key
from tui.cli.support.printing import tell
from tui.cli.support.rating_steps import Judgement, KeyTable, Step, make_steps, make_undone
from tui.events import RUN, Body
from tui.scoring.dimensions import (
    Dimension,
    configured_dimensions,
    resolve_dimensions,
)
from tui.scoring.rating_queue import Contender, RatingItem, RatingQueue, build_rating_queue
from tui.scoring.stars import make_note
from tui.sessions import library, reader
from tui.sessions.journal import Journal
from tui.text.sanitise import clean, one_line
from tui.text.translation import language, tr

app = typer.Typer(add_completion=False)

MAX_RATER = 40
"""Characters of a rater's name; the rest is cut off."""

_RULE = " │ "
_MIN_COLUMN = 30
"""Cells of a column, below which answers are shown one after the other."""


class _QuitError(Exception):
    """The person goes; everything entered is saved."""


@app.command(
    help="Judge the answers of a session by hand: 1 to 5 stars in each dimension, then a vote "
    "for each pair. What you say is appended to the session at once and can be changed by "
    "rating again."
)
def rate(
    session: Annotated[
        str,
        typer.Argument(metavar="SESSION", help="A file, a name, the beginning of one, or `last`."),
    ],
    blind: Annotated[
        bool, typer.Option("--blind", help="Hide names, and shuffle the answers per question.")
    ] = False,
    rater: Annotated[
        str, typer.Option(metavar="NAME", help="Who judges; each one has stars and votes apart.")
    ] = "",
    lang: Annotated[str | None, typer.Option(metavar="en|zh", help="en or zh.")] = None,
    sessions: Annotated[Path | None, typer.Option(metavar="DIR", help="Look there.")] = None,
) -> int:
    settings = settings_in_force.load({"lang": lang, "sessions": sessions})
    path = library.find(session, settings.sessions_dir)
    reading = reader.read(path)
    board = fold(reading.events)
    hidden = blind or settings.run.blind or bool(reading.header.settings.get("blind"))
    # The start is the same each time, so that blind judging can be broken off and taken up.
    plan = build_rating_queue(board, seed=reading.header.started if hidden else None)
    if not plan.items:
        tell("no complete answers to judge")
        return 0
    given = configured_dimensions(reading.header) or settings.run.dimensions
    known = resolve_dimensions(given, (d for a in board.answers.values() for (_, d) in a.ratings))
    who = one_line(rater).strip()[:MAX_RATER]
    journal = Journal.reopen(path)
    sitting = _Sitting(journal, board, plan, known, who, KeyTable(settings.screen.keys))
    try:
        sitting.run()
    except _QuitError:
        flags = " --blind" * blind + (f" --rater {shlex.quote(rater)}" if rater else "")
        flags += f" --sessions {shlex.quote(str(sessions))}" if sessions else ""
        print()
        tell(f"{sitting.progress}; `duibi rate {shlex.quote(session)}{flags}` goes on there")
    else:
        tell(sitting.progress)
    finally:
        journal.close()
    return 0


class _Sitting:
    """One sitting: shows, asks, and appends each answer of the person at once. It begins at what
    is not judged yet; the keys are those of the screen."""

    def __init__(
        self,
        journal: Journal,
        board: Board,
        queue: RatingQueue,
        dimensions: tuple[Dimension, ...],
        rater: str,
        keys: KeyTable,
    ) -> None:
        self._journal, self._board, self._queue = journal, board, queue
        self._steps, self._rater, self._keys = make_steps(queue, dimensions), rater, keys
        self._undo: list[tuple[int, Judgement]] = []
        self._shown: Step | None = None

    def run(self) -> None:
        """Judge from the first thing that is not judged; names are revealed only at the end.

        Raises:
            _QuitError: the person went before it.
        """
        left = self._unjudged()
        is_again = not left
        at = 0 if is_again else left[0]
        while at < len(self._steps):
            step = self._steps[at]
            self._show(step)
            action = self._ask(step)
            choice = self._choice(step, action)
            if choice is not None:
                self._judge(at, step.judgement(choice, self._rater))
                after = [one for one in self._unjudged() if one > at]
                after = after or self._unjudged()
                at = at + 1 if is_again else after[0] if after else len(self._steps)
            elif action == "judge.undo":
                at = self._take_back(at)
            elif action == "judge.note":
                self._ask_note(at)
            elif action.startswith("question."):
                at = self._other_question(at, 1 if action == "question.next" else -1)
            elif action == "pane.raw":
                self._shown = None
            elif action:
                at = max(0, at + (-1 if action.endswith("previous") else 1))
            else:
                self._show_keys(step)
        if self._queue.is_blind:
            for item in self._queue.items:
                names = ", ".join(f"{c.shown_name} {c.label}" for c in item.contenders)
                self._print(one_line(f"{item.number}. {names}"))

    @property
    def progress(self) -> str:
        """How much is judged, in words."""
        left, count = len(self._unjudged()), len(self._steps)
        return f"{count - left} of {count} judged, all of it is saved"

    def _unjudged(self) -> list[int]:
        steps = enumerate(self._steps)
        return [at for at, step in steps if not step.judged(self._board, self._rater)]

    def _show(self, step: Step) -> None:
        """What a step is about, where that is not what was shown last."""
        contenders, shown = step.item.contenders, self._shown
        is_new = not shown or shown.item is not step.item
        is_beside = len(contenders) > 1 and self._columns(len(contenders)) >= _MIN_COLUMN
        is_another = is_new or shown is None or shown.contenders != step.contenders
        if is_beside and is_new:
            self._show_beside(step.item)
        elif not is_beside and is_another and (is_new or step.group == "stars"):
            for contender in step.contenders:
                self._show_answers(step.item, contender)
        if is_beside and is_another and step.group == "stars":
            self._print(f"\n-- {self._name(step.contenders[0])}")
        if is_new or shown is None or shown.group != step.group:
            self._show_keys(step)
        self._shown = step

    def _columns(self, count: int) -> int:
        """Cells of each of ``count`` columns."""
        return (shutil.get_terminal_size().columns - len(_RULE) * (count - 1)) // count

    def _show_beside(self, item: RatingItem) -> None:
        """Show the answers in columns, turn by turn."""
        total, cells = len(self._queue.items), self._columns(len(item.contenders))
        lines = [f"== {item.number}/{total} {one_line(item.category)}"]
        lines.append(_RULE.join(_fit(self._name(one), cells) for one in item.contenders).rstrip())
        for turn in range(max(len(one.answers) for one in item.contenders)):
            answers = [
                one.answers[turn] if turn < len(one.answers) else None for one in item.contenders
            ]
            prompt = next(answer.prompt for answer in answers if answer)
            lines += [f"> {line}" for line in clean(prompt).splitlines()]
            texts = [clean(self._queue.redact(a.text)).strip("\n") if a else "" for a in answers]
            columns = [
                [row for line in text.splitlines() for row in wrap_line(line, cells)]
                for text in texts
            ]
            lines += [
                _RULE.join(_fit(row, cells) for row in rows).rstrip()
                for rows in zip_longest(*columns, fillvalue="")
            ]
        self._page(lines)

    def _show_answers(self, item: RatingItem, contender: Contender) -> None:
        total = len(self._queue.items)
        lines = [f"== {item.number}/{total} {one_line(item.category)} · {self._name(contender)}"]
        for answer in contender.answers:
            lines += [f"> {line}" for line in clean(answer.prompt).splitlines()]
            lines += clean(self._queue.redact(answer.text)).strip("\n").splitlines()
        self._page(lines)

    def _page(self, lines: list[str]) -> None:
        columns, rows = shutil.get_terminal_size()
        room = max(rows - 3, 5)
        wrapped = [row for line in lines for row in wrap_line(line.expandtabs(4), columns)]
        while len(wrapped) > room:
            self._print("\n".join(wrapped[:room]))
            wrapped = wrapped[room:]
            self._ask_key(tr("-- any key: more, q: pause --"))
        self._print("\n".join(wrapped))

    def _show_keys(self, step: Step) -> None:
        """Print the keys of a step, whole words to a row."""
        columns = shutil.get_terminal_size().columns
        self._print("\n".join(wrap_line(self._help(step), columns)))

    def _help(self, step: Step) -> str:
        """The keys of a step."""
        k = self._keys
        undo, note, raw = k["judge.undo"], k["judge.note"], k["pane.raw"]
        ahead, back, leave = k["question.next"], k["question.previous"], k["judge.leave"]
        if step.group == "stars":
            return tr(
                f"{k['stars.1']}-{k['stars.5']} stars, {k['stars.0']} none, "
                f"{k['stars.next']} keep, {k['stars.previous']} back, {undo} undo, {note} note, "
                f"{raw} text again, {ahead} {back} question, {leave} or q pause"
            )
        return tr(
            f"which is better: {k['votes.left']} left, {k['votes.right']} right, "
            f"{k['votes.tie']} tie, {k['votes.bad']} both bad, {k['votes.none']} none, "
            f"{k['votes.next']} keep, {k['votes.previous']} back, {undo} undo, {note} note, "
            f"{raw} text again, {ahead} {back} question, {leave} or q pause"
        )

    def _ask(self, step: Step) -> str:
        """The action of the key that is pressed."""
        now = step.judged(self._board, self._rater)
        if step.dimension:
            stars = int(now or "0")
            shown = "★" * stars + "☆" * (MAX_STARS - stars)
            text = f"{one_line(step.dimension.name(language()))} {shown} ? "
        else:
            mark = f" [{tr(now)}]" if now else ""
            text = f"{' | '.join(map(self._name, step.contenders))}{mark} ? "
        return self._keys.action(self._ask_key(text), step.group)

    def _choice(self, step: Step, action: str) -> str | None:
        """The stars or the vote that an action gives; None for one that gives none."""
        group, _, name = action.partition(".")
        if group != step.group or name in ("next", "previous"):
            return None
        return name.replace("none", "").replace("0", "")

    def _judge(self, at: int, body: Judgement) -> None:
        self._undo.append((at, make_undone(self._board, self._steps[at], body, self._rater)))
        self._append(body)

    def _take_back(self, at: int) -> int:
        """Take back what was judged last in this sitting; the step that it was about."""
        if not self._undo:
            self._print(tr("nothing was judged in this sitting yet"))
            return at
        at, body = self._undo.pop()
        self._append(body)
        return at

    def _other_question(self, at: int, step: int) -> int:
        """The first step of the question before or after."""
        ids = [one.item.number for one in self._steps]
        numbers = list(dict.fromkeys(ids))
        wanted = numbers.index(ids[at]) + step
        return ids.index(numbers[max(0, min(wanted, len(numbers) - 1))])

    def _ask_note(self, at: int) -> None:
        sys.stdout.write(tr("note: "))
        sys.stdout.flush()
        text = sys.stdin.readline().strip()
        if text:
            self._judge(at, make_note(self._steps[at].contenders[0].id, text))

    def _append(self, body: Body) -> None:
        event = self._journal.append(self._journal.last_us, RUN, body)
        fold([event], self._board)

    def _name(self, contender: Contender) -> str:
        return one_line(contender.shown_name)

    def _ask_key(self, text: str) -> str:
        sys.stdout.write(text)
        sys.stdout.flush()
        key = read_key()
        self._print(key if len(key) == 1 else "")
        if key in ("", "q") or self._keys.action(key, "stars") == "judge.leave":
            raise _QuitError
        return key

    def _print(self, text: str) -> None:
        print(text, flush=True)


def _fit(row: str, cells: int) -> str:
    """A row in exactly so many cells."""
    return set_cell_size(row.replace("\t", "    "), cells)


command = typer.main.get_command(app)
