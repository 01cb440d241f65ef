"""Writes Textual's updates: only changed cells, and no faster than the connection accepts.

Textual writes every cell of a widget that it repaints, in absolute moves and with the style
of each segment set and reset: thirty times the text of a streaming answer. Its seam for this
is private (`App._display`, with the updates of `textual._compositor`), so Textual is pinned
to one minor version, the setting ``output = "stock"`` (``DUIBI_OUTPUT``) goes back to its own
way, and a test holds the screens of both ways against each other.

A slow line pushes back: after a frame the terminal is asked for its cursor's position
(DSR 6, answered by CPR), and at most two such frames are unanswered at any time, or a few
bytes; frames of fewer are asked for together. What changes meanwhile is drawn together in the
next one, so keys never wait behind old frames. A terminal that never answers is not asked
again; then the writer's queue alone pushes back.
"""

import asyncio
import base64
import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.app import App
from textual.driver import Driver
from textual.screen import Screen
from textual.strip import Strip

from tui.app.terminal.cell_diff import CellBuffer, TerminalCell, split_cells
from tui.app.terminal.driver import TerminalDriver

_IN_FLIGHT = 2
_MAX_UNANSWERED_BYTES = 512
"""Unanswered, below which a further frame delays no key: 64 ms at 64 kbit/s."""
_MAX_BACKLOG = 2
"""Writes the terminal has not taken yet, above which nothing is added."""
_CURSOR_QUERY = "\x1b[6n"
_QUERY_EVERY_BYTES = 64
"""Written since the last question, from which on to ask: a figure that changes costs less."""
_MAX_QUERIES = 3
_ANSWER_TIMEOUT_S = 5.0
"""Seconds after which an answer is taken for lost."""
RETRY_S = 0.03
_SYNC_BYTES = 600
"""Frames above this are shown as a whole (mode 2026) where the terminal can."""
_SYNC = "\x1b[?2026h", "\x1b[?2026l"


class FlowControl:
    """How many frames the terminal has yet to answer, and whether it answers at all."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked: deque[tuple[float, int]] = deque()
        """When each unanswered question was asked, and after how many bytes."""
        self._answers = self._tries = 0
        self.round_trip_s = 0.0
        """Of the last answer."""

    def has_room(self) -> bool:
        """Whether a frame may be written now."""
        if self._asked and self._clock() - self._asked[0][0] > _ANSWER_TIMEOUT_S:
            self._asked.clear()
        if not self._answers or len(self._asked) < _IN_FLIGHT:
            return True
        return sum(size for _, size in self._asked) < _MAX_UNANSWERED_BYTES

    def begin_query(self, size: int) -> bool:
        """Whether to ask with the frame that is written now, the end of ``size`` bytes."""
        if not self._answers and self._tries >= _MAX_QUERIES:
            return False
        self._tries += 1
        self._asked.append((self._clock(), size))
        return True

    def take_answer(self) -> bool:
        """The terminal answered; False: no query was pending."""
        if not self._asked:
            return False
        self._answers += 1
        self.round_trip_s = self._clock() - self._asked.popleft()[0]
        return True


class TerminalWriter:
    """Draws updates into a picture and writes what of it is new."""

    def __init__(self, write: Callable[[str], None], backlog: Callable[[], int]) -> None:
        self._write, self._backlog = write, backlog
        self.flow_control = FlowControl()
        self._buffer = CellBuffer(0, 0)
        self._in_tmux = bool(os.environ.get("TMUX"))
        self._unasked = 0

    def invalidate(self) -> None:
        """Repaint all at the next update: another program may have written."""
        self._buffer.invalidate()

    def draw(self, update: CompositorUpdate, size: tuple[int, int], console: Console) -> None:
        """Take in an update of a screen of ``size`` (columns, rows)."""
        if size != (self._buffer.width, self._buffer.height):
            self._buffer = CellBuffer(*size)
        colours = console._color_system or ColorSystem.TRUECOLOR
        match update:
            case LayoutUpdate(strips=rows, region=region):
                for y, strips in enumerate(rows, region.y):
                    self._draw_strips(region.x, y, strips, colours)
            case ChopsUpdate():
                for x, y, strip in _changed_strips(update):
                    self._draw_strips(x, y, (strip,), colours)

    def _draw_strips(self, x: int, y: int, strips: Iterable[Strip], colours: ColorSystem) -> None:
        cells: list[TerminalCell] = []
        for strip in strips:
            for text, style, control in strip:
                if not control:
                    cells += split_cells(text, _sgr(style, colours))
        self._buffer.set_cells(x, y, cells)

    def flush(self, cursor: tuple[int, int] | None, is_synchronised: bool) -> bool:
        """Write what is new, if the line is free; False: try again later. ``is_synchronised``:
        the terminal can show a frame as a whole."""
        if not self._buffer.has_changes:
            return True
        if not self.flow_control.has_room() or self._backlog() > _MAX_BACKLOG:
            return False
        frame = self._buffer.render_frame(cursor)
        if frame:
            if is_synchronised and len(frame) > _SYNC_BYTES and not self._in_tmux:
                frame = frame.join(_SYNC)
            self._unasked += len(frame)
            if self._unasked >= _QUERY_EVERY_BYTES and self.flow_control.begin_query(self._unasked):
                frame += _CURSOR_QUERY
                self._unasked = 0
            self._write(frame)
        return True


def _changed_strips(update: ChopsUpdate) -> Iterable[tuple[int, int, Strip]]:
    """Column, row and strip of all that an update touches, as its own rendering has them."""
    for y, first, last in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is None or x > last or end <= first:
                continue
            whole = first <= x < last and end <= last
            yield x, y, strip if whole else _crop(strip, min(end, last) - x)


def _crop(strip: Strip, cells: int) -> Strip:
    """The first ``cells`` of a strip, and one more where a wide character would be cut in two."""
    longer = strip.crop(0, cells + 1)
    return longer if cell_len(longer.text[-1:]) > 1 else strip.crop(0, cells)


_codes: dict[tuple[Style, ColorSystem], str] = {}
_MAX_CODES = 4096


def _sgr(style: Style | None, colours: ColorSystem) -> str:
    """SGR parameters of a style; none where it is the terminal's own."""
    if style is None:
        return ""
    key = style, colours
    codes = _codes.get(key)
    if codes is None:
        if len(_codes) > _MAX_CODES:
            _codes.clear()
        codes = _codes[key] = _without_defaults(Strip.render_ansi(style, colours))
    return codes


def _without_defaults(codes: str) -> str:
    """Every style begins with a reset, so that default colours need no codes.

    Only whole parameters: the numbers of ``38;2;r;g;b`` and ``38;5;n`` stay together.
    """
    kept: list[str] = []
    parts = iter(codes.split(";") if codes else ())
    for part in parts:
        if part in ("38", "48"):
            kind = next(parts)
            kept += [part, kind, *(next(parts) for _ in range(3 if kind == "2" else 1))]
        elif part not in ("39", "49"):
            kept.append(part)
    return ";".join(kept)


class TerminalWriterApp(App[Any]):
    """An application whose screen is written by a `TerminalWriter`; with ``stock_output`` (or on
    any other driver, as under test) by Textual itself."""

    def __init__(self, stock_output: bool, **arguments: Any) -> None:
        super().__init__(driver_class=TerminalDriver, **arguments)
        self._stock_output = stock_output
        self._writer: TerminalWriter | None = None
        self._retry: asyncio.TimerHandle | None = None

    def redraw(self) -> None:
        """Write the whole screen anew: something else has written over it."""
        if self._writer is not None:
            self._writer.invalidate()
        self.screen.refresh()

    def copy_to_clipboard(self, text: str) -> None:
        """Copy by OSC 52; inside tmux also wrapped, for the terminal around it."""
        super().copy_to_clipboard(text)
        if os.environ.get("TMUX") and self._driver is not None:
            code = base64.b64encode(text.encode("utf-8")).decode()
            self._driver.write(f"\x1bPtmux;\x1b\x1b]52;c;{code}\a\x1b\\")

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        writer = self._writer_of(self._driver)
        if writer is None or not isinstance(renderable, LayoutUpdate | ChopsUpdate):
            super()._display(screen, renderable)
            return
        try:
            # The conditions of what is overridden.
            if not self._batch_count and self._running and not self._closed:
                writer.draw(renderable, self.screen.outer_size, self.console)
                self._write_frame()
        finally:
            self.post_display_hook()

    def _writer_of(self, driver: Driver | None) -> TerminalWriter | None:
        if self._stock_output or not isinstance(driver, TerminalDriver):
            return None
        if self._writer is None:
            self._writer = TerminalWriter(driver.write, lambda: driver.backlog)
            driver.on_cursor_report = self._answered
            driver.on_start = self._writer.invalidate
        return self._writer

    def _write_frame(self) -> None:
        if self._writer is None or not self._running:
            return
        focused = self.focused
        x, y = self.screen.outer_size.clamp_offset(self.cursor_position)
        # Only who types needs the (hidden) cursor: an input method shows its words there.
        cursor = (x, y) if focused is not None and focused.id == "prompt" else None
        done = self._writer.flush(cursor, self._sync_available)
        if not done and self._retry is None:
            loop = asyncio.get_running_loop()
            self._retry = loop.call_later(RETRY_S, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._write_frame()

    def _answered(self) -> bool:
        answered = self._writer is not None and self._writer.flow_control.take_answer()
        if answered and self._running:
            self._write_frame()
        return answered
