"""Read a session file: accept while newline, checksum and numbering hold.

The verdict says how far the file can be trusted:

    complete     it was closed, and nothing is missing
    interrupted  all lines are good, but it was never closed
    torn         a bad tail with nothing valid after it was left out
    damaged      something in the middle is wrong: only what comes before it is given
"""

import contextlib
import gc
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from tui import events as ev
from tui.events import RUN, Event
from tui.host.errors import UserError
from tui.sessions import lines, storage
from tui.sessions.lines import LineError
from tui.sessions.migrations import UPCASTERS, Upcaster, migrate

MAX_MODELS = 64
ALLOWED_AFTER_END = (ev.Rated, ev.Voted, ev.Judged, ev.Note)
"""What is appended to a closed session without opening it again."""


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """What a session file holds. ``events`` begins with the header's event;
    ``bytes_dropped`` counts what follows the last good line."""

    path: Path
    header: ev.Session
    events: list[Event]
    verdict: str
    bytes_dropped: int


@dataclass(slots=True)
class ScanResult:
    """The good prefix of a file's bytes: events, ``good_bytes`` bytes, and what stopped it
    (``problem`` with the 1-based ``line``; empty where nothing did)."""

    events: list[Event] = field(default_factory=list)
    good_bytes: int = 0
    crc: int = 0
    size: int = 0
    problem: str = ""
    line: int = 0
    verdict: str = "torn"

    @property
    def dropped_bytes(self) -> int:
        """Bytes after the good prefix."""
        return self.size - self.good_bytes

    @property
    def answers(self) -> int:
        """Answers that were completed."""
        return sum(isinstance(event.body, ev.Answered) for event in self.events)


def read(path: Path, upcasters: Mapping[int, Upcaster] = UPCASTERS) -> RecordedSession:
    """Read a session.

    Raises:
        UserError: the file cannot be read, or not even its header is whole.
    """
    scanned = scan(read_bytes(path), path.name, upcasters)
    if not scanned.events:
        raise UserError(
            f"{path.name}: line 1 holds no session header ({scanned.problem or 'empty file'})",
            "it is no session file, or was damaged at its beginning",
        )
    header = scanned.events[0].body
    assert isinstance(header, ev.Session)
    return RecordedSession(path, header, scanned.events, scanned.verdict, scanned.dropped_bytes)


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
            raise UserError(
                f"cannot read {path}: {storage.error_text(error)}",
                "copy it elsewhere and try again",
            ) from None


def scan(data: bytes, name: str, upcasters: Mapping[int, Upcaster] = UPCASTERS) -> ScanResult:
    """The longest prefix of ``data`` that can be trusted, and the verdict.

    Raises:
        UserError: another major version wrote it.
    """
    result = ScanResult(size=len(data))
    with _garbage_collector_paused():
        rows = _rows(data, result)
        version = _version(data, name)
        if version != ev.VERSION:
            rows = migrate(rows, version, ev.VERSION, upcasters, name)
        _collect_events(rows, result)
    result.crc = crc32(memoryview(data)[: result.good_bytes])
    result.verdict = _verdict(data, result)
    return result


def check_header(event: Event) -> ev.Session:
    """The header's body, its nested objects of the form that displays lean on.

    Raises:
        LineError: they are not.
    """
    body = event.body
    if not isinstance(body, ev.Session) or event.model != RUN:
        raise LineError("not a session header")
    if len(body.models) > MAX_MODELS or not all(type(m) is dict for m in body.models):
        raise LineError("its models are not a list of objects")
    listed = body.questions.get("questions", [])
    if type(listed) is not list or not all(type(q) is dict for q in listed):
        raise LineError("its questions are not a list of objects")
    if not all(_is_text_list(q.get("turns", [])) for q in listed):
        raise LineError("a question's turns are not a list of texts")
    return body


def _is_text_list(value: Any) -> bool:
    return type(value) is list and all(type(item) is str for item in value)


def _version(data: bytes, name: str) -> int:
    """The major version in the header, the present one where there is no header."""
    try:
        row = lines.decode_line(data[: data.find(b"\n", 0, lines.MAX_LINE) + 1])
    except LineError:
        return ev.VERSION
    payload = row[4] if len(row) == 5 and type(row[4]) is dict else {}
    version = payload.get("v", ev.VERSION)
    if type(version) is not int:
        return ev.VERSION
    if version > ev.VERSION:
        raise UserError(
            f"{name} was written by a newer duibi (session format {version}, known: {ev.VERSION})",
            "upgrade duibi to open it",
        )
    return version


def _rows(data: bytes, result: ScanResult) -> Iterator[list[Any]]:
    """The rows of the good lines; moves ``result.good`` on *before* the next is asked for."""
    start, row_of = 0, lines.decode_line
    while start < len(data):
        end = data.find(b"\n", start, start + lines.MAX_LINE) + 1
        if not end:
            long = len(data) - start >= lines.MAX_LINE
            result.problem = "longer than a line may be" if long else "cut off"
            return
        try:
            row = row_of(data[start:end])
        except LineError as error:
            result.problem = str(error)
            return
        yield row
        result.good_bytes = start = end


def _collect_events(rows: Iterator[list[Any]], result: ScanResult) -> None:
    events, event_of = result.events, lines.decode_event
    try:
        for seq, row in enumerate(rows):
            event = event_of(row)
            if event.seq != seq:
                raise LineError(f"numbered {event.seq} where {seq} is due")
            if seq == 0:
                check_header(event)
            elif event.body.kind == ev.Session.kind:
                raise LineError("a second header")
            events.append(event)
    except LineError as error:
        result.problem = str(error)


def _verdict(data: bytes, result: ScanResult) -> str:
    if result.dropped_bytes:
        result.line = len(result.events) + 1
        return "damaged" if _valid_line_after(data, result.good_bytes) else "torn"
    events = result.events
    end = next(
        (i for i in range(len(events) - 1, -1, -1) if isinstance(events[i].body, ev.End)), None
    )
    if end is None:
        return "interrupted" if events else "torn"
    body = events[end].body
    assert isinstance(body, ev.End)
    if body.events != end or (body.crc and body.crc != _crc_before(data, end)):
        result.problem, result.line = "the totals of the end do not hold", end + 1
        return "damaged"
    closed = all(isinstance(event.body, ALLOWED_AFTER_END) for event in events[end + 1 :])
    return "complete" if closed else "interrupted"


def _crc_before(data: bytes, count: int) -> str:
    at = 0
    for _ in range(count):
        at = data.find(b"\n", at) + 1
    return f"{crc32(memoryview(data)[:at]):08x}"


def _valid_line_after(data: bytes, start: int) -> bool:
    while end := data.find(b"\n", start) + 1:
        if end - start <= lines.MAX_LINE and lines.has_valid_crc(data[start:end]):
            return True
        start = end
    return False


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
    data = read_bytes(path)
    scanned = scan(data, path.name)
    if not scanned.events:
        raise UserError(f"{path.name}: not even its header is whole", "nothing can be recovered")
    target = path.with_name(path.name.removesuffix(lines.SUFFIX) + ".recovered" + lines.SUFFIX)
    try:
        _, fd = storage.create(target.parent, target.name)
        with os.fdopen(fd, "wb") as file:
            file.write(data[: scanned.good_bytes])
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
