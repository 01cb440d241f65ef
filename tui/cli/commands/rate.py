"""``duibi rate``: stars and votes with single keys in a plain terminal."""

import shutil
import sys
import textwrap
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import typer
from rich.cells import cell_len, chop_cells, set_cell_size

from tui.app.pane.wrapping import wrap_line
from tui.board import Board, fold
from tui.cli.support import settings_in_force
from tui.cli.support.key_input import read_key
from tui.cli.support.printing import tell
from tui.events import RUN, Body
from tui.scoring.dimensions import (
    MAX_STARS,
    Dimension,
    configured_dimensions,
    resolve_dimensions,
)
from tui.scoring.rating_queue import Contender, RatingItem, RatingQueue, build_rating_queue
from tui.scoring.stars import make_note, make_rating, make_vote, recorded_vote
from tui.sessions import library, reader
from tui.sessions.journal import Journal
from tui.text.sanitise import clean, one_line
from tui.text.translation import tr

app = typer.Typer(add_completion=False)

HELP = "1-5 stars, 0 takes back, Enter keep, n note, t text again, b back, q quit"
VOTE_HELP = "which is better: l left, r right, t tie, b both bad, 0 takes back, Enter keep, q quit"
MORE = "-- Enter: more, q: quit --"
MAX_RATER = 40
"""Characters of a rater's name; the rest is cut off."""
_VOTES = {"l": "left", "r": "right", "t": "tie", "b": "bad", "0": "none"}


_RULE = " │ "
_MIN_COLUMN = 30
"""Cells of a column, below which answers are shown one after the other."""


class _Quit(Exception):
    """The person quit; everything entered is saved."""


@app.command(
    help="Judge the answers of a session by hand: 1 to 5 stars in each dimension, then a vote "
    "for each pair. What you say is appended to the session at once and can be changed by "
    "rating again."
)
def rate(
    session: Annotated[
        str, typer.Argument(help="A file, a name, the beginning of one, or `last`.")
    ],
    blind: Annotated[
        bool, typer.Option("--blind", help="Hide names, and shuffle the answers per question.")
    ] = False,
    rater: Annotated[
        str, typer.Option(metavar="NAME", help="Who judges; each one has stars and votes apart.")
    ] = "",
    lang: Annotated[str | None, typer.Option(help="en or zh.")] = None,
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
    known = resolve_dimensions(given, (d for a in board.answers.values() for d in a.stars))
    who = one_line(rater).strip()[:MAX_RATER]
    journal = Journal.reopen(path)
    try:
        _RatingSession(journal, board, plan, known, settings.screen.lang, who).run()
    finally:
        journal.close()
    return 0


class _RatingSession:
    """One sitting: shows, asks, and appends each answer of the person at once."""

    def __init__(
        self,
        journal: Journal,
        board: Board,
        queue: RatingQueue,
        dimensions: tuple[Dimension, ...],
        lang: str,
        rater: str,
    ) -> None:
        self._journal, self._board, self._queue = journal, board, queue
        self._dimensions, self._lang, self._rater = dimensions, lang, rater

    def run(self) -> None:
        """Rate the whole queue; names are revealed only at its end."""
        try:
            for item in self._queue.items:
                self._rate_item(item)
        except _Quit:
            return
        if self._queue.is_blind:
            for item in self._queue.items:
                names = ", ".join(f"{c.shown_name} {c.label}" for c in item.contenders)
                self._print(one_line(f"{item.number}. {names}"))

    def _rate_item(self, item: RatingItem) -> None:
        is_beside = self._show_beside(item)
        for contender in item.contenders:
            if is_beside:
                self._print(f"\n-- {self._name(contender)}")
            else:
                self._show_answers(item, contender)
            self._ask_stars(item, contender)
        for left, right in item.pairs:
            self._ask_vote(item, left, right)

    def _show_beside(self, item: RatingItem) -> bool:
        """Show the answers in columns, turn by turn; whether there was room for that."""
        total, count = len(self._queue.items), len(item.contenders)
        cells = (shutil.get_terminal_size().columns - len(_RULE) * (count - 1)) // count
        if count < 2 or cells < _MIN_COLUMN:
            return False
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
        return True

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
        wrapped = [row for line in lines for row in _wrap(line, columns)]
        while len(wrapped) > room:
            self._print("\n".join(wrapped[:room]))
            wrapped = wrapped[room:]
            self._ask_key(tr(MORE))
        self._print("\n".join(wrapped))

    def _ask_stars(self, item: RatingItem, contender: Contender) -> None:
        self._print(tr(HELP))
        i = 0
        while i < len(self._dimensions):
            dimension = self._dimensions[i]
            now = self._board.answers[contender.id].stars_of(self._rater).get(dimension.id, 0)
            shown = "★" * now + "☆" * (MAX_STARS - now)
            key = self._ask_key(f"{one_line(dimension.name(self._lang))} {shown} ? ")
            if key.isdecimal() and key.isascii() and int(key) <= MAX_STARS:
                self._append(make_rating(contender.id, dimension.id, int(key), self._rater))
                i += 1
            elif key in ("enter", " "):
                i += 1
            elif key == "b":
                i = max(i - 1, 0)
            elif key == "n":
                self._ask_note(contender)
            elif key == "t":
                if not self._show_beside(item):
                    self._show_answers(item, contender)
            else:
                self._print(tr(HELP))

    def _ask_vote(self, item: RatingItem, left: Contender, right: Contender) -> None:
        while True:
            now = recorded_vote(self._board.votes_of(self._rater), item.question, left.id, right.id)
            mark = "" if now == "none" else f" [{now}]"
            key = self._ask_key(f"{self._name(left)} | {self._name(right)}{mark} ? ")
            if key in _VOTES:
                self._append(make_vote(item.question, left.id, right.id, _VOTES[key], self._rater))
                return
            if key in ("enter", " "):
                return
            self._print(tr(VOTE_HELP))

    def _ask_note(self, contender: Contender) -> None:
        sys.stdout.write(tr("note: "))
        sys.stdout.flush()
        text = sys.stdin.readline().strip()
        if text:
            self._append(make_note(contender.id, text))

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
        if key in ("", "q"):
            raise _Quit
        return key

    def _print(self, text: str) -> None:
        print(text, flush=True)


def _fit(row: str, cells: int) -> str:
    """A row in exactly so many cells."""
    return set_cell_size(row.replace("\t", "    "), cells)


def _wrap(line: str, columns: int) -> Iterator[str]:
    """A line as rows of the terminal, broken at spaces where it has any."""
    line = line.expandtabs(4)
    if cell_len(line) <= columns:
        yield line
        return
    for part in textwrap.wrap(line, columns, replace_whitespace=False) or [""]:
        yield from chop_cells(part, columns) if cell_len(part) > columns else [part]


command = typer.main.get_command(app)
