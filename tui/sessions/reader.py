"""Read a session file: accept while newline, checksum and numbering hold.

The verdict says how far the file can be trusted:

    complete     it was closed, and nothing is missing
    interrupted  all lines are good, but it was never closed
    torn         a bad tail with nothing valid after it was left out
    damaged      something in the middle is wrong: only what comes before it is given

Whether a process still writes an interrupted file is `storage.state_of`.
"""

import contextlib
import gc
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

from tui import events as ev
from tui.events import RUN, Event
from tui.host.errors import UserError
from tui.sessions import lines, storage
from tui.sessions.lines import LineError
from tui.sessions.migrations import UPCASTERS, Upcaster, migrate

MAX_MODELS = 64
"""Models of a header; of those that joined later any number is read."""
_COPIED = 1 << 20
_BATCH_BYTES = 1 << 18
ALLOWED_AFTER_END = (ev.Rated, ev.Voted, ev.Chosen, ev.Judged, ev.Note)
"""What is appended to a closed session without opening it again."""


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """What a session file holds. ``events`` begins with the header's event, and has no figures that
    nobody can have measured; ``bytes_dropped`` counts what follows the last good line."""

    path: Path
    header: ev.Session
    events: list[Event]
    verdict: str
    bytes_dropped: int


@dataclass(slots=True)
class ScanResult:
    """The good prefix of a session: ``count`` events in ``good_bytes`` bytes, among them
    ``answers`` that were completed, and what stopped it (``problem`` with the 1-based ``line``;
    empty where nothing did). ``events`` are those kept: all, or the header alone."""

    events: list[Event] = field(default_factory=list)
    count: int = 0
    answers: int = 0
    good_bytes: int = 0
    crc: int = 0
    size: int = 0
    problem: str = ""
    line: int = 0
    verdict: str = "torn"
    end: ev.End | None = None
    """The last end, of number ``end_at``, with ``end_crc`` over what comes before it;
    ``is_closed``: nothing but judgements follows it."""
    end_at: int = 0
    end_crc: int = 0
    is_closed: bool = False

    @property
    def dropped_bytes(self) -> int:
        """Bytes after the good prefix."""
        return self.size - self.good_bytes


def read(path: Path, upcasters: Mapping[int, Upcaster] = UPCASTERS) -> RecordedSession:
    """Read a session.

    Raises:
        UserError: the file cannot be read, or not even its header is whole.
    """
    scanned = scan(read_bytes(path), path.name, upcasters)
    if not scanned.events:
        raise UserError(
            f"{path.name}: line 1 holds no session header ({scanned.problem or 'empty file'})",
            "take one that duibi wrote and nobody changed",
        )
    header, events = _with_joined_models(lines.with_real_figures(scanned.events))
    return RecordedSession(path, header, events, scanned.verdict, scanned.dropped_bytes)


def _with_joined_models(events: list[Event]) -> tuple[ev.Session, list[Event]]:
    """The header with the models that were added later, and the events that begin with it."""
    header = events[0].body
    assert isinstance(header, ev.Session)
    models = list(header.models)
    for event in events:
        if isinstance(event.body, ev.Joined) and event.body.index == len(models):
            models.append(event.body.model)
    if len(models) == len(header.models):
        return header, events
    header = replace(header, models=models)
    return header, [replace(events[0], body=header), *events[1:]]


def read_bytes(path: Path) -> bytes:
    """All bytes of a session file, at most `lines.MAX_FILE`.

    Raises:
        UserError: see `storage.open_regular`.
    """
    with os.fdopen(storage.open_regular(path), "rb") as file:
        try:
            # No more than it has: to ask for the most that is read would take that memory.
            return file.read(os.fstat(file.fileno()).st_size)
        except OSError as error:
            raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot read {path}: {storage.error_text(error)}", "copy it elsewhere and try again"
    )


def scan(data: bytes, name: str, upcasters: Mapping[int, Upcaster] = UPCASTERS) -> ScanResult:
    """The longest prefix of ``data`` that can be trusted, and the verdict.

    Raises:
        UserError: another major version wrote it.
    """
    with _garbage_collector_paused():
        return _scan(_lines_of(data), len(data), name, upcasters, keeps_events=True)


def verify(path: Path, upcasters: Mapping[int, Upcaster] = UPCASTERS) -> ScanResult:
    """As `scan` of a file, in the memory of a line: of the events only the header is kept.

    Raises:
        UserError: it cannot be read, or another major version wrote it.
    """
    with os.fdopen(storage.open_regular(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            lines_ = _lines_of_file(file)
            return _scan(lines_, size, path.name, upcasters, keeps_events=False)
        except OSError as error:
            raise _unreadable(path, error) from None


def _scan(
    pieces: Iterator[bytes],
    size: int,
    name: str,
    upcasters: Mapping[int, Upcaster],
    keeps_events: bool,
) -> ScanResult:
    result, rest = ScanResult(size=size), _Pieces(pieces)
    rows = _rows(rest, result)
    version = _version(rest.first, name)
    if version != ev.VERSION:
        rows = migrate(rows, version, ev.VERSION, upcasters, name)
    _collect_events(rows, result, keeps_events)
    result.size = max(size, result.good_bytes)  # a file that is being written has grown
    result.verdict = _verdict(rest, result)
    return result


def _lines_of(data: bytes) -> Iterator[bytes]:
    """The lines; one that is longer than a line may be, in pieces."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start, start + lines.MAX_LINE) + 1 or start + lines.MAX_LINE
        yield data[start:end]
        start = end


def _lines_of_file(file: BinaryIO) -> Iterator[bytes]:
    """As `_lines_of`."""
    while piece := file.readline(lines.MAX_LINE):
        yield piece


class _Pieces:
    """The lines of a session, a batch at a time; ``at`` is the line of the ``batch`` that was
    reached."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.first = next(pieces, b"")
        self.batch = [self.first] if self.first else []
        self.at = 0
        self._pieces = pieces

    def batches(self) -> Iterator[list[bytes]]:
        """Lists of lines, the header's alone; a few hundred kilobytes, or one line."""
        while self.batch:
            yield self.batch
            self.at = 0
            self.batch = list(self._take())

    def _take(self) -> Iterator[bytes]:
        size = 0
        for piece in self._pieces:
            yield piece
            size += len(piece)
            if size > _BATCH_BYTES:
                return

    def has_valid_line(self) -> bool:
        """Whether the line reached or a later one is whole and its checksum holds."""
        begins = True
        for line in chain(self.batch[self.at :], self._pieces):
            if begins and lines.has_valid_crc(line):
                return True
            # A piece of a longer line is no line.
            begins = line.endswith(b"\n")
        return False


def check_header(event: Event) -> ev.Session:
    """The header's body, its nested objects of the form that displays lean on.

    Raises:
        LineError: they are not.
    """
    body = event.body
    if not isinstance(body, ev.Session) or event.model != RUN:
        raise LineError("not a session header")
    if not all(type(m) is dict for m in body.models):
        raise LineError("its models are not a list of objects")
    if len(body.models) > MAX_MODELS:
        raise LineError(f"it names {len(body.models)} models, more than {MAX_MODELS}")
    listed = body.questions.get("questions", [])
    if type(listed) is not list or not all(type(q) is dict for q in listed):
        raise LineError("its questions are not a list of objects")
    if not all(_is_text_list(q.get("turns", [])) for q in listed):
        raise LineError("a question's turns are not a list of texts")
    return body


def _is_text_list(value: Any) -> bool:
    return type(value) is list and all(type(item) is str for item in value)


def _version(first: bytes, name: str) -> int:
    """The major version in the header, the present one where there is no header."""
    try:
        row = lines.decode_line(first)
    except LineError:
        return ev.VERSION
    payload = row[4] if len(row) == 5 and type(row[4]) is dict else {}
    version = payload.get("v", ev.VERSION)
    if type(version) is not int:
        return ev.VERSION
    if version > ev.VERSION:
        raise UserError(
            f"{name} was written by a newer duibi "
            f"(session format {_shown(version)}, known: {ev.VERSION})",
            "upgrade duibi to open it",
        )
    return version


def _shown(version: int) -> str:
    return str(version) if version < 1 << 63 else "of too many digits"


def _rows(pieces: _Pieces, result: ScanResult) -> Iterator[list[Any]]:
    """The rows of the good lines; moves ``result`` on *before* the next is asked for."""
    for batch in pieces.batches():
        rows = lines.decode_lines(batch)
        for at, line in enumerate(batch):
            pieces.at = at
            if rows is None:
                try:
                    row = _row(line)
                except LineError as error:
                    result.problem = str(error)
                    return
            else:
                row = rows[at]
            yield row
            result.good_bytes += len(line)
            result.crc = crc32(line, result.crc)


def _row(line: bytes) -> list[Any]:
    if not line.endswith(b"\n"):
        long = len(line) >= lines.MAX_LINE
        raise LineError("longer than a line may be" if long else "cut off")
    return lines.decode_line(line)


def _collect_events(rows: Iterator[list[Any]], result: ScanResult, keeps_events: bool) -> None:
    events, event_of = result.events, lines.decode_event
    try:
        for seq, row in enumerate(rows):
            event = event_of(row)
            if event.seq != seq:
                raise LineError(f"numbered {event.seq} where {seq} is due")
            kind = type(event.body)
            if seq == 0:
                check_header(event)
            elif kind is ev.Session:
                raise LineError("a second header")
            if keeps_events or seq == 0:
                events.append(event)
            result.count = seq + 1
            if kind is ev.Delta:
                result.is_closed = False
            elif kind is ev.Answered:
                result.answers += 1
                result.is_closed = False
            elif isinstance(event.body, ev.End):
                result.end, result.end_at, result.end_crc = event.body, seq, result.crc
                result.is_closed = True
            elif not isinstance(event.body, ALLOWED_AFTER_END):
                result.is_closed = False
    except LineError as error:
        result.problem = str(error)


def _verdict(rest: _Pieces, result: ScanResult) -> str:
    if result.problem:
        result.line = result.count + 1
        return "damaged" if rest.has_valid_line() else "torn"
    if (end := result.end) is None:
        return "interrupted" if result.count else "torn"
    if end.events != result.end_at:
        result.problem = f"the end counts {end.events} events before it, and {result.end_at} are"
    elif end.crc and end.crc != f"{result.end_crc:08x}":
        result.problem = "the checksum of the whole file in its end does not hold"
    if result.problem:
        result.line = result.end_at + 1
        return "damaged"
    return "complete" if result.is_closed else "interrupted"


@contextlib.contextmanager
def _garbage_collector_paused() -> Iterator[None]:
    """Disable the cyclic garbage collector: reading creates many objects and no cycles."""
    if not gc.isenabled() or threading.current_thread() is not threading.main_thread():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def repair(path: Path) -> Path:
    """Write the good prefix of a session beside it as ``*.recovered.duibi``.

    Raises:
        UserError: nothing in it is whole, or the copy cannot be written.
    """
    scanned = verify(path)
    if not scanned.count:
        raise UserError(f"{path.name}: not even its header is whole", "nothing can be recovered")
    target = path.with_name(path.name.removesuffix(lines.SUFFIX) + ".recovered" + lines.SUFFIX)
    try:
        _, fd = storage.create(target.parent, target.name)
        with os.fdopen(fd, "wb") as file, os.fdopen(storage.open_regular(path), "rb") as damaged:
            left = scanned.good_bytes
            while left and (piece := damaged.read(min(left, _COPIED))):
                file.write(piece)
                left -= len(piece)
            file.flush()
            os.fsync(fd)
    except FileExistsError:
        raise UserError(f"{target} is there already", "move it away first") from None
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {storage.error_text(error)}",
            "copy the session elsewhere first",
        ) from None
    return target
