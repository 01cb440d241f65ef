"""Seeing a run through without a screen: signals, the end, the exit code."""

import contextlib
import errno
import os
import shlex
import signal
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from tui.board import Board, fold
from tui.cli.support.printing import tell
from tui.events import Event
from tui.host import paths
from tui.host.errors import EXIT_FAILED, EXIT_INTERRUPTED
from tui.host.terminal import discard_output
from tui.run.conductor import Run
from tui.run.results import exit_code, newest_answers
from tui.sessions.save_fallback import ensure_saved

TICK_S = 0.1

ShowEvents = Callable[[Sequence[Event], Board], None]
"""Gets the new events and the board with them on it, ten times a second."""


class HeadlessRun:
    """Asks everything and waits for it. The first Ctrl+C (or SIGTERM) stops after saving,
    a second one at once; a hung-up terminal stops nothing."""

    def __init__(self, run: Run, show: ShowEvents, known_events: int = 0) -> None:
        """``known_events`` of a resumed session are put on the board, but not shown."""
        self.board = Board()
        self._known_events = known_events
        self._run = run
        self._show = show
        self._stops = 0

    def run_to_end(self, repeats: int) -> int:
        """Start, ask what has no answer yet, wait, close; the exit code."""
        restored = {
            number: signal.signal(number, action)
            for number, action in (
                (signal.SIGINT, self._stop),
                (signal.SIGTERM, self._stop),
                (signal.SIGHUP, self._hung_up),
            )
        }
        if note := self._run.save_state.note:
            tell(f"duibi: the session {note}")
        status = "failed"
        try:
            self._run.ask_all(repeats)
            self._run.start()
            while not self._stops:
                if not self._run.wait(TICK_S):
                    self._show_new_events()
                elif not self._run.ask_broken_off():
                    break
            self._show_new_events()
            newest = newest_answers(self.board)
            is_failed = newest and not any(one.state == "answered" for one in newest)
            status = "interrupted" if self._stops else "failed" if is_failed else "done"
        finally:
            self._run.close(status)
            for number, action in restored.items():
                signal.signal(number, action)
        self._show_new_events()
        return self._finish()

    def _show_new_events(self) -> None:
        _, events = self._run.drain()
        fold(events, self.board)
        try:
            self._show([event for event in events if event.seq >= self._known_events], self.board)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._hung_up()

    def _finish(self) -> int:
        if words := ensure_saved(self._run):
            tell(f"duibi: {words}")
        is_saved = self._run.save_state.saved
        if self._stops:
            name = _as_argument(self._run.path)
            where = f"what came is saved in {name}" if is_saved else "not all that came is saved"
            tell(f"duibi: stopped; {where}")
            if is_saved:
                tell(f"  -> `duibi run --resume {name}` asks the rest")
            return EXIT_INTERRUPTED
        return exit_code(self.board) or (0 if is_saved else EXIT_FAILED)

    def _hung_up(self, *_: object) -> None:
        """The terminal has gone: discard what would be written to it."""
        for number in (1, 2):
            with contextlib.suppress(OSError):
                if stat.S_ISCHR(os.fstat(number).st_mode):
                    discard_output(number)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stops += 1
        if self._stops > 1:
            os._exit(EXIT_INTERRUPTED)


def _as_argument(session: Path) -> str:
    """How to name a session on a command line, from any folder."""
    if session.parent == paths.sessions_dir():
        return session.name
    return shlex.quote(str(session.absolute()))
