"""Ratings, votes and notes on a recorded session: appended to its file and shown at once."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tui import events as ev
from tui.events import RUN, Event
from tui.host import paths
from tui.host.errors import UserError
from tui.sessions import storage
from tui.sessions.player import Player

if TYPE_CHECKING:
    from tui.sessions.journal import Journal

MAX_TITLE = 200
"""Characters of a session's title; the rest is cut off."""


class AnnotatedPlayer:
    """A player's events, with the judgements made since it was opened.

    A judgement has no recorded time: it is given as soon as the answer it is about has been
    asked, and again after each recorded judgement, so that the newest one wins. The file is
    opened at the first judgement and held until `close`.
    """

    def __init__(self, player: Player, path: Path, own_folder: Path) -> None:
        """Judge what ``player`` plays of ``path``. What came with the program is copied to
        the folder ``own_folder`` first."""
        self.player, self.path, self._own_folder = player, path, own_folder
        self._journal: Journal | None = None
        self._added: list[Event] = []
        self._due: list[Event] = []
        self._asked: set[int] = set()

    def drain(self) -> tuple[bool, list[Event]]:
        """As `Player.drain`, with the judgements."""
        reset, events = self.player.drain()
        if reset:
            self._asked.clear()
        if reset or any(isinstance(event.body, ev.Judgement) for event in events):
            self._due = list(self._added)
        self._asked.update(e.body.answer for e in events if isinstance(e.body, ev.Asked))
        now = [event for event in self._due if _answers_of(event.body) <= self._asked]
        self._due = [event for event in self._due if event not in now]
        return reset, events + now

    def judge(self, body: ev.Judgement) -> None:
        """Append it to the file; the next `drain` gives it.

        Raises:
            UserError: the file is being written by a run, damaged, or cannot be written.
        """
        if self._journal is None:
            self.path = copy_if_bundled(self.path, self._own_folder)
            # Only needed to judge, not to watch.
            from tui.sessions.journal import Journal

            self._journal = Journal.reopen(self.path)
        event = self._journal.append(self._journal.last_us, RUN, body)
        self._added.append(event)
        self._due.append(event)
        if error := self._journal.state.error:
            raise UserError(f"not saved: {error}", "free the disk; it is tried again")

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None


def rename(path: Path, title: str) -> None:
    """Call a session by a title from now on; an empty one takes it back.

    Raises:
        UserError: the file is being written by a run, damaged, or cannot be written.
    """
    from tui.sessions.journal import Journal

    journal = Journal.reopen(path)
    try:
        journal.append(journal.last_us, RUN, ev.Note(title[:MAX_TITLE], source="title"))
        if error := journal.state.error:
            raise UserError(f"not saved: {error}", "free the disk; it is tried again")
    finally:
        journal.close()


def copy_if_bundled(path: Path, folder: Path) -> Path:
    """``path``, or for a session that came with the program its copy in ``folder``.

    Raises:
        UserError: it cannot be copied.
    """
    if not path.resolve().is_relative_to(paths.bundled("sessions").resolve()):
        return path
    copy = folder / path.name
    if not copy.exists():
        storage.make_folder(folder)
        try:
            shutil.copyfile(path, copy)
            copy.chmod(0o600)
        except OSError as error:
            copy.unlink(missing_ok=True)
            raise UserError(
                f"cannot copy {path.name} to {folder}: {storage.error_text(error)}",
                "choose another folder with --sessions DIR",
            ) from None
    return copy


def _answers_of(body: ev.Body) -> set[int]:
    """The answers a judgement is about."""
    if isinstance(body, ev.Voted):
        return {body.left, body.right}
    answer = ev.answer_of(body)
    return set() if answer < 0 else {answer}
