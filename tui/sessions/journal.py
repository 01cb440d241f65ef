"""Writes a session file; an event is in the file when `Journal.append` returns.

A line goes out with one unbuffered ``os.write`` before `Journal.append` returns, so that
a killed process loses nothing; a thread of its own calls fsync, so that a power cut loses
a second at most. Where the disk refuses, the lines wait in memory and are tried again.
"""

import contextlib
import os
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from tui import events as ev
from tui.events import RUN, Body, Event
from tui.host.errors import UserError
from tui.host.secrets import environment_mask
from tui.sessions import lines, reader, staging, storage
from tui.sessions.compressed_copy import CompressedCopy
from tui.sessions.lines import LineError, encode_line
from tui.sessions.masking import mask_body

SYNC_S = 1.0
RETRY_S = 5.0
CLOSE_WAIT_S = 10.0
"""Seconds that closing waits for the last fsync: a hung mount must not hold the program."""

_RESERVE = 1 << 20
"""Bytes of the largest file that are reserved for other events than text."""
_CHANGED = "another program changed the file"
_FINAL_EVENTS = (ev.Answered, ev.Failed, ev.Cancelled, ev.End)


@dataclass(frozen=True, slots=True)
class SaveState:
    """Whether all that was appended is in the file. ``error`` is one line saying why not,
    ``pending`` counts the events that wait in memory, ``note`` tells what a person should
    know although all is well (the file lies elsewhere until the end), ``target`` is the
    network folder that it will be copied to at the end ("": it is where it belongs)."""

    saved: bool = True
    error: str = ""
    pending: int = 0
    note: str = ""
    target: str = ""


class Journal:
    """One session file, open for appending by this process alone.

    Made by `create` or `reopen`; every method may be called from any thread.
    """

    def __init__(
        self, path: Path, fd: int, target: Path | None, sync_s: float, retry_s: float
    ) -> None:
        self.path = path
        self._fd, self._target = fd, target
        self._sync_s, self._retry_s = sync_s, retry_s
        self._seq = self._good_bytes = self._crc = self._answers = self._last_us = 0
        self._copy = CompressedCopy()
        """The whole file, so that it can be saved elsewhere when its disk cannot be read."""
        self._pending: deque[bytes] = deque()
        """The lines that the disk refused."""
        self._error = self._sync_error = self._note = ""
        self._has_partial_line = False
        self._closed = self._synced = False
        self.end: Event | None = None
        """The end that `close` wrote."""
        self._retry_at = 0.0
        self._lock = threading.Lock()
        self._mask = environment_mask()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._sync_loop, name="journal", daemon=True)

    @classmethod
    def create(
        cls, folder: Path, header: ev.Session, sync_s: float = SYNC_S, retry_s: float = RETRY_S
    ) -> "Journal":
        """A new session in ``folder``, its header safe on the disk.

        On a network or FUSE file system it is written on the local disk and copied whole
        at the close: such mounts rewrite a file on each append.

        Raises:
            UserError: the folder cannot be written, or the header is too large.
        """
        storage.make_folder(folder)
        staged = staging.staging_folder(folder)
        try:
            path, fd = storage.create(staged or folder)
        except OSError as error:
            raise _unwritable(staged or folder, error) from None
        journal = cls(path, fd, folder / path.name if staged else None, sync_s, retry_s)
        try:
            _, line = encode_line(Event(0, 0, RUN, mask_body(header, journal._mask)))
            if (written := os.write(fd, line)) < len(line):
                raise OSError(0, f"only {written} of {len(line)} bytes fit")
            os.fsync(fd)
            storage.sync_folder(path.parent)
        except (OSError, LineError) as error:
            os.close(fd)
            path.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise _unwritable(path.parent, error) from None
            raise UserError(f"the session's header is too large: {error}") from None
        journal._copy.append(line)
        journal._seq, journal._good_bytes, journal._crc = 1, len(line), crc32(line)
        if staged:
            journal._note = f"is on the local disk until the end, then copied to {folder}"
        journal._thread.start()
        return journal

    @classmethod
    def reopen(cls, path: Path, sync_s: float = SYNC_S, retry_s: float = RETRY_S) -> "Journal":
        """An existing session, to append to it. A torn tail is cut off.

        Raises:
            UserError: it is being written, damaged, or cannot be written.
        """
        local, target = staging.stage(path)
        fd = storage.open_regular(local, os.O_RDWR | os.O_APPEND)
        try:
            if not storage.lock(fd):
                raise UserError(
                    f"{path.name} is being written by another process",
                    "wait for its end, or follow it with `duibi replay --follow`",
                )
            data = reader.read_bytes(local)
            scanned = reader.scan(data, path.name)
            if scanned.verdict == "damaged" or not scanned.events:
                raise UserError(
                    f"{path.name} is damaged at line {scanned.line or 1}",
                    f"`duibi sessions repair {path.name}` saves what is whole",
                )
            journal = cls(local, fd, target, sync_s, retry_s)
            journal._copy.append(data[: scanned.good_bytes])
            journal._seq, journal._good_bytes = scanned.count, scanned.good_bytes
            journal._crc, journal._answers = scanned.crc, scanned.answers
            journal._last_us = max(event.t_us for event in scanned.events)
            journal._has_partial_line = bool(scanned.dropped_bytes)
        except BaseException:
            os.close(fd)
            raise
        journal._thread.start()
        return journal

    @property
    def state(self) -> SaveState:
        """Whether all is in the file."""
        with self._lock:
            error = self._error or self._sync_error
            pending = len(self._pending)
            target = "" if self._target is None or self._fd < 0 else str(self._target.parent)
            return SaveState(not error and not pending, error, pending, self._note, target)

    @property
    def last_us(self) -> int:
        """The latest time appended so far; what comes after a reopening goes on from it."""
        with self._lock:
            return self._last_us

    def append(self, t_us: int, model: int, body: Body) -> Event:
        """Write an event without the secrets of the environment, and return it as it will be read
        back.

        It is in the file when this returns, or in memory if the disk refuses (`state`).

        Raises:
            UserError: it is larger than a line may be, or text and the session is full.
            ValueError: the journal is closed.
        """
        with self._lock:
            if self._closed:
                raise ValueError("the journal is closed")
            event = self._append(t_us, model, body)
        if isinstance(body, _FINAL_EVENTS):
            self._wake.set()
        return event

    def close(self, status: str = "") -> SaveState:
        """End the session with totals and its checksum, and release the file. Idempotent.

        Without a status nothing is added: a closed session stays closed after ratings were
        appended. What could not be saved stays in memory for `save_to`.
        """
        with self._lock:
            if not self._closed:
                if status:
                    end = ev.End(status, self._seq, self._answers, f"{self._crc:08x}")
                    self.end = self._append(self._last_us, RUN, end)
                self._closed = True
                self._flush()
        self._wake.set()
        self._thread.join(CLOSE_WAIT_S)
        if self._thread.is_alive():
            with self._lock:
                self._sync_error = "the disk does not answer"
        else:
            self._finish()
        return self.state

    def save_to(self, folder: Path) -> Path:
        """Go on in another folder: write all that was said there, and switch to it.

        The old file stays as it is, and is not needed: its disk may be gone. Works after
        `close` too, while something is unsaved.

        Raises:
            UserError: the other folder cannot be written either.
        """
        storage.make_folder(folder)
        with self._lock:
            if self._fd < 0:
                return self.path
            try:
                path, fd = _create_named(folder, self.path.name)
            except OSError as error:
                raise _unwritable(folder, error) from None
            try:
                for piece in self._copy.pieces():
                    _write_whole(fd, piece)
                os.fsync(fd)
            except OSError as error:
                os.close(fd)
                path.unlink(missing_ok=True)
                raise _unwritable(folder, error) from None
            os.close(self._fd)
            self.path, self._fd, self._good_bytes, self._target = path, fd, self._copy.size, None
            self._pending.clear()
            self._error = self._sync_error = self._note = ""
            self._has_partial_line, closed = False, self._closed
            storage.sync_folder(folder)
        if closed:
            self._finish()
        return self.path

    def _append(self, t_us: int, model: int, body: Body) -> Event:
        try:
            masked = mask_body(body, self._mask)
            event, line = encode_line(Event(self._seq, t_us, model, masked))
        except LineError as error:
            raise UserError(str(error), "shorten it: nothing else was lost") from None
        # A file over the limit cannot be opened again; ends of answers have reserved space.
        if isinstance(body, ev.Delta) and self._copy.size + len(line) > lines.MAX_FILE - _RESERVE:
            raise UserError(
                f"the session is full: {lines.MAX_FILE / 1e9:.1f} GB can be read back",
                "begin a new one with `duibi run`",
            )
        self._seq += 1
        self._crc = crc32(line, self._crc)
        self._answers += isinstance(body, ev.Answered)
        self._last_us = max(self._last_us, t_us)
        self._copy.append(line)
        if self._pending or not self._write(line):
            self._pending.append(line)
        return event

    def _write(self, line: bytes) -> bool:
        """One line into the file, wholly or not at all."""
        try:
            self._drop_partial_line()
            if os.fstat(self._fd).st_size != self._good_bytes:
                # To write on would make a hole, or a line in the middle of another one.
                raise OSError(0, _CHANGED)
            if (written := os.write(self._fd, line)) < len(line):
                # A short write gives no reason: writing the rest gives the error.
                self._has_partial_line = True
                _write_whole(self._fd, line[written:])
                self._has_partial_line = False
            self._good_bytes += len(line)
            self._synced = False
            return True
        except OSError as error:
            self._error = storage.error_text(error)
            self._retry_at = time.monotonic() + self._retry_s
            with contextlib.suppress(OSError):
                self._drop_partial_line()
            return False

    def _drop_partial_line(self) -> None:
        """Truncate a partly written line. Nothing is written before this succeeds: a torn end
        is recoverable, a torn line in the middle is not."""
        if self._has_partial_line:
            os.ftruncate(self._fd, self._good_bytes)
            self._has_partial_line = False

    def _flush(self) -> None:
        while self._pending:
            if not self._write(self._pending[0]):
                return
            self._pending.popleft()
        self._error = ""

    def _sync_loop(self) -> None:
        """The thread: fsync each second and at the end of an answer, retry what waits."""
        while True:
            self._wake.wait(self._sync_s)
            self._wake.clear()
            with self._lock:
                closed = self._closed
                if self._pending and not closed and time.monotonic() >= self._retry_at:
                    self._flush()
                due, self._synced = not self._synced, True
            if due:
                self._sync()
            if closed:
                return

    def _sync(self) -> None:
        # On a copy and without the lock: a mount that hangs must not hold up a writer, nor
        # the way to another folder.
        with self._lock:
            if (fd := self._fd) < 0:
                return
            copy = os.dup(fd)
            is_whole = not self._has_partial_line and not self._pending
            is_changed = is_whole and os.fstat(fd).st_size != self._good_bytes
        try:
            os.fsync(copy)
            error = _CHANGED if is_changed else ""
            error = error if os.fstat(copy).st_nlink else "the file was deleted"
        except OSError as failure:
            # The kernel reports a lost write once; later calls succeed although the data is lost.
            error = f"not safe on the disk: {storage.error_text(failure)}"
        finally:
            os.close(copy)
        with self._lock:
            if error and fd == self._fd:
                self._sync_error = error

    def _finish(self) -> None:
        with self._lock:
            if self._pending or self._sync_error or self._fd < 0:
                return
            if self._target is not None:
                try:
                    staging.deliver(self.path, self._target)
                except OSError as error:
                    self._note = f"stays at {self.path}: {storage.error_text(error)}"
                else:
                    self._note = f"was copied to {self._target.parent}"
                    self.path = self._target
            os.close(self._fd)
            self._fd = -1


def _create_named(folder: Path, name: str) -> tuple[Path, int]:
    with contextlib.suppress(FileExistsError):
        return storage.create(folder, name)
    return storage.create(folder)


def _write_whole(fd: int, data: bytes) -> None:
    with memoryview(data) as view:
        done = 0
        while done < len(view):
            done += os.write(fd, view[done:])


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot write a session in {folder}: {storage.error_text(error)}",
        "choose another folder with --sessions DIR",
    )
