"""The sessions of a folder: list by first and last lines, find, move to the trash.

Listing never reads a body, so it cannot see damage in the middle: `reader.read` does.
"""

import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tui import events as ev
from tui.events import Event
from tui.host import paths
from tui.host.errors import UserError
from tui.host.save_file import is_real_folder, make_real_folder
from tui.sessions import lines, reader, staging, storage
from tui.sessions.lines import SUFFIX, LineError

TRASH = ".trash"
LAST = "last"
_HEAD_BYTES = 1 << 14
_TAIL_BYTES = 1 << 12
_ANSWERED = b',"answered",{"answer":'  # as the journal writes it: text in quotes escapes them


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """A session as its first and last lines tell it.

    ``started`` is ISO 8601, ``verdict`` as in `reader` and ``running`` while a process
    writes it; ``duration_s`` seconds, ``size`` bytes; ``problem`` says why nothing else is known.
    """

    path: Path
    started: str = ""
    labels: tuple[str, ...] = ()
    question_set: str = ""
    questions: int = 0
    answers: int = 0
    verdict: str = "damaged"
    duration_s: float = 0.0
    size: int = 0
    problem: str = ""
    expected: int = 0
    """Answers that the run was to have: of each model, turn and repetition."""
    title: str = ""
    """What a person calls it; words with ``#`` in it are tags."""
    status: str = ""
    """How it was closed, as in `tui.events.End`; empty where it was not."""

    @property
    def outcome(self) -> str:
        """The verdict on the file, but of a whole file with less than all answers how the run
        ended: ``failed`` (no answer is there), ``partly failed`` or ``ended early``."""
        if self.verdict != "complete" or self.answers >= self.expected:
            return self.verdict
        if self.status in ("failed", "crashed") or (self.status == "done" and not self.answers):
            return "failed"
        return "partly failed" if self.status == "done" else "ended early"

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.name.removesuffix(SUFFIX)


def entries(folder: Path) -> list[SessionEntry]:
    """The sessions of a folder, newest first; none where there is no such folder."""
    found = [entry_of(path) for path in session_files(folder)]
    return sorted(found, key=lambda entry: (entry.started, entry.path.name), reverse=True)


def session_files(folder: Path) -> list[Path]:
    """Session files of a folder, and those still waiting to be copied there."""
    places = [folder, staging.undelivered_folder(folder)]
    found: dict[str, Path] = {}
    for place in filter(None, places):
        try:
            with os.scandir(place) as items:
                found |= {item.name: Path(item.path) for item in items if _is_session(item)}
        except OSError:
            continue
    return list(found.values())


def _is_session(item: os.DirEntry[str]) -> bool:
    return item.name.endswith(SUFFIX) and item.is_file(follow_symlinks=False)


def entry_of(path: Path) -> SessionEntry:
    """The entry of one file, whatever is in it."""
    try:
        fd = storage.open_regular(path)
    except UserError as error:
        return SessionEntry(path, problem=error.message)
    try:
        return _entry(path, fd)
    except OSError as error:
        return SessionEntry(path, problem=storage.error_text(error))
    finally:
        os.close(fd)


def _entry(path: Path, fd: int) -> SessionEntry:
    size = os.fstat(fd).st_size
    head = _first_line(fd)
    try:
        header = reader.check_header(lines.decode_event(lines.decode_line(head)))
    except LineError as error:
        return SessionEntry(path, size=size, problem=f"no session header: {error}")
    if header.v != ev.VERSION:
        return SessionEntry(path, header.started, size=size, problem=f"session format {header.v}")
    last, closing, torn, title = _ending(fd, size)
    if title is None:
        title = header.own_title
    if torn:
        verdict = "torn"
    elif closing is not None:
        verdict = "complete"
    else:
        verdict = storage.state_of(path, "interrupted")
    return SessionEntry(
        path,
        header.started,
        tuple(header.labels),
        header.title,
        len(header.listed_questions),
        closing.answers if closing else _count_answers(fd, size),
        verdict,
        (last.t_us if last else 0) / 1e6,
        size,
        expected=_expected_answers(header),
        title=title,
        status=closing.status if closing else "",
    )


def _expected_answers(header: ev.Session) -> int:
    turns = sum(len(question.get("turns", ())) or 1 for question in header.listed_questions)
    repeat = header.settings.get("repeat")
    return turns * len(header.models) * (repeat if type(repeat) is int and repeat > 0 else 1)


def _first_line(fd: int) -> bytes:
    data = os.pread(fd, _HEAD_BYTES, 0)
    if b"\n" not in data:
        data = os.pread(fd, lines.MAX_LINE, 0)
    return data[: data.find(b"\n") + 1]


def _ending(fd: int, size: int) -> tuple[Event | None, ev.End | None, bool, str | None]:
    """(last good event, the end if it was closed, whether a bad tail follows, the title that
    was given after the end)."""
    window = _TAIL_BYTES
    while True:
        start = max(0, size - window)
        rest = os.pread(fd, size - start, start).split(b"\n")
        torn = rest[-1] != b""
        last: Event | None = None
        title: str | None = None
        for line in reversed(rest[1:-1] if start else rest[:-1]):
            try:
                event = lines.decode_event(lines.decode_line(line + b"\n"))
            except LineError:
                torn = True
                continue
            last = last or event
            if isinstance(event.body, ev.End):
                return last, event.body, torn, title
            if isinstance(event.body, ev.Note) and event.body.source == "title":
                title = event.body.text if title is None else title
            if not isinstance(event.body, reader.ALLOWED_AFTER_END):
                return last, None, torn, title
        if not start or window >= lines.MAX_LINE:
            return last, None, torn, title
        window *= 16


def _count_answers(fd: int, size: int) -> int:
    """Completed answers of a session without an end, without parsing it."""
    count, at, overlap = 0, 0, b""
    while at < size:
        part = os.pread(fd, 1 << 20, at)
        if not part:
            break
        count += (overlap + part).count(_ANSWERED)
        overlap, at = part[1 - len(_ANSWERED) :], at + len(part)
    return count


def find(text: str, folder: Path, running: bool = False) -> Path:
    """The session a person means: a path, a name, the beginning of one, ``last``, or the
    name of a sample that came with the program. ``last`` is the one that began last, as far as
    that is not in the future, and is no longer written (``running``: that still is, if any).

    Raises:
        UserError: there is none, or more than one.
    """
    if (given := _typed_file(text)) is not None:
        return given
    if "/" in text:
        raise UserError(f"there is no file {text}", "see `duibi sessions list`")
    if text == LAST:
        return _last(folder, running)
    for place in (folder, paths.bundled("sessions")):
        files = {path.name: path for path in session_files(place)}
        if exact := files.get(text) or files.get(text + SUFFIX):
            return exact
        near = sorted(path for name, path in files.items() if text and name.startswith(text))
        if len(near) == 1:
            return near[0]
        if near:
            names = ", ".join(path.name.removesuffix(SUFFIX) for path in near[:4])
            raise UserError(
                f"{text} fits {len(near)} sessions: {names}{', ...' if len(near) > 4 else ''}",
                "give more of the name",
            )
    raise UserError(f"there is no session {text}", "see `duibi sessions list`")


def _last(folder: Path, running: bool) -> Path:
    known = sorted(entries(folder), key=_is_future)  # and newest first, as before
    if not known:
        raise UserError(f"no session was recorded yet in {folder}", "start one: `duibi demo`")
    wanted = [entry for entry in known if (entry.verdict == "running") == running]
    if not wanted and not running:
        raise UserError(
            f"{known[0].path.name} is still being written",
            "name it to take what is there, or watch it with `duibi replay --follow`",
        )
    return (wanted or known)[0].path


def _is_future(entry: SessionEntry) -> bool:
    """Whether a session says that it begins after today: a clock was wrong then, or is now."""
    try:
        started = datetime.fromisoformat(entry.started)
    except ValueError:
        return True  # no time at all: not before those that have one
    if started.tzinfo is None:
        started = started.replace(tzinfo=UTC)
    return started > datetime.now(UTC) + timedelta(days=1)


def _typed_file(text: str) -> Path | None:
    """The file of a path as typed: too long, of an unknown user, or with a NUL is none."""
    try:
        path = paths.expand(text)
        return path if path.is_file() else None
    except (OSError, RuntimeError, ValueError):
        return None


def trash(path: Path) -> Path:
    """Move a session to the trash of its folder; where it lies then, for `restore`.

    Raises:
        UserError: it is no session of one's own, is being written, or cannot be moved.
    """
    if not path.name.endswith(SUFFIX):
        raise UserError(f"{path.name} is no session", f"sessions end in {SUFFIX}")
    if path.resolve().is_relative_to(paths.bundled("sessions").resolve()):
        raise UserError(f"{path.name} came with the program", "name a session of your own")
    if storage.is_live(path):
        raise UserError(f"{path.name} is being written", "end that run first")
    bin_ = path.parent / TRASH
    try:
        make_real_folder(bin_)
        gone = bin_ / f"{time.time_ns():019d}-{path.name}"
        path.rename(gone)
    except OSError as error:
        raise UserError(
            f"cannot delete {path.name}: {storage.error_text(error)}",
            "check the folder's permissions",
        ) from None
    return gone


def trashed(folder: Path) -> list[Path]:
    """The files in the trash of a folder, newest first."""
    bin_ = folder / TRASH
    found = bin_.glob(f"[0-9]*-*{SUFFIX}") if is_real_folder(bin_) else ()
    return sorted(found, reverse=True)


def restore(path_in_trash: Path) -> Path:
    """Undo `trash`.

    Raises:
        UserError: its place is taken, or it is gone for good.
    """
    name = re.sub(r"^\d+-", "", path_in_trash.name)
    path = path_in_trash.parent.parent / name
    try:
        os.link(path_in_trash, path)  # unlike a rename, never replaces what is there
        path_in_trash.unlink()
    except FileExistsError:
        raise UserError(f"{path} is there already", "move it away first") from None
    except OSError as error:
        raise UserError(f"cannot restore {name}: {storage.error_text(error)}") from None
    return path


def empty_trash(folder: Path) -> int:
    """Delete the files in the trash; the number of deleted sessions."""
    gone = trashed(folder)
    for path in gone:
        path.unlink(missing_ok=True)
    return len(gone)
