"""The lines of the models screen: what is here, what could be, and what is being fetched."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from tui.app.style.appearance import Look, Piece
from tui.app.style.figures import bar
from tui.app.widgets.menu import Entry, Heading
from tui.checkpoints.memory_estimate import BYTES_PER_WEIGHT
from tui.models.catalogue import Suggestion
from tui.models.discover import Found
from tui.models.downloads import Status
from tui.text.sanitise import one_line
from tui.text.units import duration, size

CONTEXT = 2048
"""Tokens that memory is told for."""
_DTYPES = tuple(dtype for dtype in BYTES_PER_WEIGHT if dtype != "fp16")
_BAR = 16
_WIDE = 84

Subject = Found | Suggestion
Rows = list[Entry | Heading | None]


@dataclass(frozen=True, slots=True)
class Here:
    """What was found: models, those worth fetching, free memory and free disk (bytes)."""

    found: Sequence[Found] = ()
    worth: Sequence[Suggestion] = ()
    memory: int = 0
    disk: int = 0


def rows(
    here: Here, marked: Collection[str], fetched: Sequence[Status], look: Look, width: int
) -> Rows:
    """The list: what is on this machine, then what could be fetched."""
    say = look.say
    under_way = {one.reference: one for one in fetched if not one.over}
    made: Rows = []
    if here.found:
        made.append(Heading(say("models.here", free=size(here.memory))))
        for one in here.found:
            title = one_line(one.label if one.reference != "demo" else "demo")
            detail = _found(one, here.memory, look, width)
            if status := under_way.get(one.reference):
                detail = _short(status, look)
            made.append(Entry(title, detail, one, one.reference in marked))
        made.append(None)
    if here.worth:
        made.append(Heading(say("models.worth", free=size(here.disk))))
        for each in here.worth:
            detail = _suggested(each, here.memory, look, width)
            if status := under_way.get(each.reference):
                detail = _short(status, look)
            made.append(Entry(each.title, detail, each, each.reference in marked))
    return made


def _found(one: Found, free: int, look: Look, width: int) -> str:
    state = "served" if one.served else one.state
    if one.reference == "demo" and state == "partial":
        state = "fetch"
    state = look.say.word("found", state)
    cells = [(size(one.size), -8), (state, 12)]
    if one.state == "complete":
        cells.append((_fit(one.need(one.default, CONTEXT), free), -9))
    else:
        cells.append(("", 9))
    if width >= _WIDE:
        cells = [(one.family, 10), (one.dtype, 7), *cells]
    return " ".join(_cell(one_line(text), wide) for text, wide in cells)


def _suggested(one: Suggestion, free: int, look: Look, width: int) -> str:
    cells = [
        (size(one.download_bytes), -8),
        (look.say("found.fetch"), 12),
        (_fit(one.need(one.default, CONTEXT), free), -9),
    ]
    if width >= _WIDE:
        cells = [("  ".join(one.languages), 10), ("", 7), *cells]
    return " ".join(_cell(text, wide) for text, wide in cells)


def _fit(need: int, free: int) -> str:
    return f"{size(need)} {'✓' if need <= free else '✗'}"


def _cell(text: str, wide: int) -> str:
    """``text`` in that many cells; at their right end where ``wide`` is negative."""
    room = abs(wide)
    if cell_len(text) >= room:
        return set_cell_size(text, room)
    padding = " " * (room - cell_len(text))
    return padding + text if wide < 0 else text + padding


def detail(subject: Subject | None, here: Here, look: Look) -> list[list[Piece]]:
    """Three lines about what the cursor is on."""
    say = look.say
    if subject is None:
        return [[(" ", ""), (say("models.none"), "muted")], [], []]
    if isinstance(subject, Found):
        place = "" if subject.served else str(subject.path)
        told = "  ".join(dict.fromkeys(part for part in (subject.reference, place) if part))
        second: list[Piece] = [(one_line(subject.why), "warn")]
        if not subject.why:
            count = _billions(subject.parameters)
            words = [say("models.weights", count=count)] if subject.parameters else []
            words += [say("models.context", count=subject.context)] if subject.context else []
            second = [("  ".join(words), "muted")]
    else:
        told = subject.reference
        second = [(subject.note_in(say.language) or subject.title, "muted")]
    return [
        [(" ", ""), (one_line(told), "accent")],
        [(" ", ""), *second],
        [(" ", ""), *_needs(subject, here.memory, look)],
    ]


def _needs(subject: Subject, free: int, look: Look) -> list[Piece]:
    if isinstance(subject, Found) and subject.served:
        need = subject.need(subject.default, CONTEXT)
        return [(look.say("models.needs_served", need=size(need)), "muted")]
    if isinstance(subject, Found) and not (subject.parameters or subject.size):
        return []
    pieces: list[Piece] = [(look.say("models.needs", tokens=CONTEXT), "muted")]
    for dtype in _DTYPES:
        need = subject.need(dtype, CONTEXT)
        pieces.append((f"  {dtype} {_fit(need, free)}", "good" if need <= free else "bad"))
    return pieces


def _billions(count: int) -> str:
    return f"{count / 1e9:.2f}B" if count >= 1e9 else f"{count / 1e6:.4g}M"


def _share(status: Status) -> str:
    return f"{min(1.0, status.done / status.total):.0%}" if status.total else ""


def _short(status: Status, look: Look) -> str:
    words = look.say.word("fetch", status.state)
    return f"{words} {_share(status)}".rstrip() + " " * 10


def progress(fetched: Sequence[Status], look: Look, width: int, most: int) -> list[list[Piece]]:
    """The downloads in at most so many lines: each with its bar, and below the one that is at
    work its unfinished files."""
    lines: list[list[Piece]] = []
    for status in fetched:
        lines.append(_line(status, look, width))
        if status.state == "working":
            lines += _files(status, look)
    return lines[:most]


def _line(status: Status, look: Look, width: int) -> list[Piece]:
    say = look.say
    style = {"done": "good", "failed": "bad", "stopped": "warn"}.get(status.state, "accent")
    words = say.word("fetch", status.state)
    name: list[Piece] = [(" ", ""), (f"{one_line(status.reference)}  ", "bold"), (words, style)]
    if status.state == "failed" and status.error is not None:
        return [*name, (f"  {one_line(status.error.message)}", "bad")]
    if status.state != "working":
        return name
    stage = say.word("fetch", status.stage.partition(" ")[0])
    name[-1] = (stage, "accent")
    if not status.total:
        return [*name, (" …", "muted")]
    full, empty = bar(status.done / status.total, _BAR if width >= _WIDE else 8)
    told = f" {_share(status):>4}  {size(status.done)} / {size(status.total)}"
    if status.left is not None:
        left = say("status.left", time=duration(status.left))
        told += f"  {size(int(status.speed))}/s  {left}"
    return [*name, ("  ", ""), (full, "good"), (empty, "muted"), (told, "muted")]


def _files(status: Status, look: Look) -> list[list[Piece]]:
    """Those under way, and how many are whole."""
    whole = sum(here == of for here, of in status.files.values())
    lines: list[list[Piece]] = []
    for name, (here, of) in status.files.items():
        if 0 < here < of:
            full, empty = bar(here / of, _BAR)
            told = f" {here / of:>4.0%}  {size(here)} / {size(of)}"
            lines.append(
                [("   ", ""), (full, "good"), (empty, "muted"), (told, "muted"),
                 (f"  {one_line(name)}", "")]
            )  # fmt: skip
    if status.files:
        words = look.say("fetch.files", whole=whole, count=len(status.files))
        lines.append([("   ", ""), (words, "muted")])
    return lines
