"""The lines of the models screen: what is here, what could be, and what is being fetched."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from tui.app.style.appearance import Appearance, StyledText
from tui.app.style.bars import progress_bar
from tui.app.widgets.menu import MenuHeading, MenuItem, MenuRows
from tui.checkpoints.llama_cpp import PUBLISHED
from tui.checkpoints.memory_estimate import BYTES_PER_WEIGHT
from tui.models.catalogue import Suggestion
from tui.models.discover import LISTED_CONTEXT, FoundModel
from tui.models.downloads import DownloadStatus
from tui.text.sanitise import one_line
from tui.text.units import format_duration, format_size

_DTYPES = tuple(dtype for dtype in BYTES_PER_WEIGHT if dtype not in ("fp16", PUBLISHED))
_BAR = 16
_WIDE = 84

ListedModel = FoundModel | Suggestion


@dataclass(frozen=True, slots=True)
class ModelSurvey:
    """What was found: models, those worth fetching, free memory and free disk (bytes)."""

    found: Sequence[FoundModel] = ()
    suggested: Sequence[Suggestion] = ()
    free_memory: int = 0
    free_disk: int = 0


def rows(
    survey: ModelSurvey,
    marked: Collection[str],
    downloads: Sequence[DownloadStatus],
    appearance: Appearance,
    width: int,
) -> MenuRows:
    """The list: what is on this machine, then what could be fetched."""
    say = appearance.say
    under_way = {one.reference: one for one in downloads if not one.is_over}
    made: MenuRows = []
    if survey.found:
        made.append(MenuHeading(say("models.here", free=format_size(survey.free_memory))))
        for one in survey.found:
            title = one_line(one.label if one.reference != "demo" else "demo")
            detail = _found_detail(one, survey.free_memory, appearance, width)
            if status := under_way.get(one.reference):
                detail = _download_summary(status, appearance)
            made.append(MenuItem(title, detail, one, one.reference in marked))
        made.append(None)
    if survey.suggested:
        made.append(MenuHeading(say("models.worth", free=format_size(survey.free_disk))))
        for each in survey.suggested:
            detail = _suggestion_detail(each, survey.free_memory, appearance, width)
            if status := under_way.get(each.reference):
                detail = _download_summary(status, appearance)
            made.append(MenuItem(each.title, detail, each, each.reference in marked))
    return made


def _found_detail(one: FoundModel, free: int, appearance: Appearance, width: int) -> str:
    state = "served" if one.served else one.state
    if one.reference == "demo" and state == "partial":
        state = "fetch"
    state = appearance.say.word("found", state)
    cells = [(format_size(one.size) if one.size else "", -8), (state, 12)]
    if one.state == "complete" and (one.size or not one.served):
        cells.append((_default_need(one, free), -14))
    else:
        cells.append(("", 14))
    if width >= _WIDE:
        cells = [(one.family, 10), (one.dtype, 7), *cells]
    return " ".join(_pad(one_line(text), wide) for text, wide in cells)


def _suggestion_detail(one: Suggestion, free: int, appearance: Appearance, width: int) -> str:
    cells = [
        (format_size(one.download_bytes), -8),
        (appearance.say("found.fetch"), 12),
        (_default_need(one, free), -14),
    ]
    if width >= _WIDE:
        cells = [("  ".join(one.languages), 10), ("", 7), *cells]
    return " ".join(_pad(text, wide) for text, wide in cells)


def _default_need(one: ListedModel, free: int) -> str:
    """The format that it is opened in, and its memory in that."""
    need = one.predict_memory(one.default_dtype, LISTED_CONTEXT)
    return f"{one.default_dtype} {_need_and_fit(need, free)}".lstrip()


def _need_and_fit(need: int, free: int) -> str:
    return f"{format_size(need)} {'✓' if need <= free else '✗'}"


def _pad(text: str, wide: int) -> str:
    """``text`` in that many cells; at their right end where ``wide`` is negative."""
    room = abs(wide)
    if cell_len(text) >= room:
        return set_cell_size(text, room)
    padding = " " * (room - cell_len(text))
    return padding + text if wide < 0 else text + padding


def detail_rows(
    subject: ListedModel | None, survey: ModelSurvey, appearance: Appearance
) -> list[list[StyledText]]:
    """Three lines about what the cursor is on."""
    say = appearance.say
    if subject is None:
        return [[(" ", ""), (say("models.none"), "muted")], [], []]
    if isinstance(subject, FoundModel):
        place = "" if subject.served else str(subject.path)
        told = "  ".join(dict.fromkeys(part for part in (subject.reference, place) if part))
        second: list[StyledText] = [(one_line(appearance.say.told(subject.why)), "warn")]
        if not subject.why:
            count = _parameter_count(subject.parameters)
            words = [say("models.weights", count=count)] if subject.parameters else []
            words += [say("models.context", count=subject.context)] if subject.context else []
            second = [("  ".join(words), "muted")]
    else:
        told = subject.reference
        second = [(subject.note_in(say.language) or subject.title, "muted")]
    return [
        [(" ", ""), (one_line(told), "accent")],
        [(" ", ""), *second],
        [(" ", ""), *_needs(subject, survey.free_memory, appearance)],
    ]


def _needs(subject: ListedModel, free: int, appearance: Appearance) -> list[StyledText]:
    if isinstance(subject, FoundModel) and not (subject.parameters or subject.size):
        return []
    if isinstance(subject, FoundModel) and subject.served:
        need = subject.predict_memory(subject.default_dtype, LISTED_CONTEXT)
        return [(appearance.say("models.needs_served", need=format_size(need)), "muted")]
    pieces: list[StyledText] = [(appearance.say("models.needs", tokens=LISTED_CONTEXT), "muted")]
    for dtype in dict.fromkeys((*_DTYPES, subject.default_dtype)):
        need = subject.predict_memory(dtype, LISTED_CONTEXT)
        pieces.append((f"  {dtype} {_need_and_fit(need, free)}", "good" if need <= free else "bad"))
    return pieces


def _parameter_count(count: int) -> str:
    return f"{count / 1e9:.2f}B" if count >= 1e9 else f"{count / 1e6:.4g}M"


def _percent_done(status: DownloadStatus) -> str:
    return f"{min(1.0, status.done / status.total):.0%}" if status.total else ""


def _download_summary(status: DownloadStatus, appearance: Appearance) -> str:
    words = appearance.say.word("fetch", status.state)
    return f"{words} {_percent_done(status)}".rstrip() + " " * 10


def download_rows(
    downloads: Sequence[DownloadStatus], appearance: Appearance, width: int, most: int
) -> list[list[StyledText]]:
    """The downloads in at most so many lines: each with its bar, and below the one that is at
    work its unfinished files."""
    lines: list[list[StyledText]] = []
    for status in downloads:
        lines.append(_download_line(status, appearance, width))
        if status.state == "working":
            lines += _file_lines(status, appearance)
    return lines[:most]


def _download_line(status: DownloadStatus, appearance: Appearance, width: int) -> list[StyledText]:
    say = appearance.say
    style = {"done": "good", "failed": "bad", "stopped": "warn"}.get(status.state, "accent")
    words = say.word("fetch", status.state)
    name: list[StyledText] = [
        (" ", ""),
        (f"{one_line(status.reference)}  ", "bold"),
        (words, style),
    ]
    if status.state == "failed" and status.error is not None:
        return [*name, (f"  {say.told(one_line(status.error.message))}", "bad")]
    if status.state != "working":
        return name
    stage = say.word("fetch", status.stage.partition(" ")[0])
    name[-1] = (stage, "accent")
    if not status.total:
        return [*name, (" …", "muted")]
    full, empty = progress_bar(status.done / status.total, _BAR if width >= _WIDE else 8)
    told = f" {_percent_done(status):>4}  {format_size(status.done)} / {format_size(status.total)}"
    if status.seconds_left is not None:
        left = say("status.left", time=format_duration(status.seconds_left))
        told += f"  {format_size(int(status.speed))}/s  {left}"
    return [*name, ("  ", ""), (full, "good"), (empty, "muted"), (told, "muted")]


def _file_lines(status: DownloadStatus, appearance: Appearance) -> list[list[StyledText]]:
    """Those under way, and how many are whole."""
    whole = sum(here == of for here, of in status.files.values())
    lines: list[list[StyledText]] = []
    for name, (here, of) in status.files.items():
        if 0 < here < of:
            full, empty = progress_bar(here / of, _BAR)
            told = f" {here / of:>4.0%}  {format_size(here)} / {format_size(of)}"
            lines.append(
                [("   ", ""), (full, "good"), (empty, "muted"), (told, "muted"),
                 (f"  {one_line(name)}", "")]
            )  # fmt: skip
    if status.files:
        words = appearance.say("fetch.files", whole=whole, count=len(status.files))
        lines.append([("   ", ""), (words, "muted")])
    return lines
