"""A widget that draws its own lines, and keeps them until they change."""

from typing import Any, Self

from textual import events
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget


class LineWidget(Widget):
    """Base of widgets with `render_line` and without border, padding or opacity.

    Textual's styles cache looks every style of a widget up for each frame, which costs more
    than drawing its lines; here an unchanged line costs one dictionary lookup.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._strips: dict[int, Strip] = {}
        self._drawn_width = 0

    @property
    def size(self) -> Size:
        """Columns and rows to draw. Textual looks them up in its map of the screen each time,
        to take borders off that these widgets do not have."""
        return self.outer_size

    def refresh(self, *regions: Region, **how: Any) -> Self:
        """Draw regions (or everything) anew with the next frame."""
        if regions:
            for region in regions:
                for y in region.line_range:
                    self._strips.pop(y, None)
        else:
            self._strips.clear()
        return super().refresh(*regions, **how)

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines of a part of the widget."""
        width = self.size.width
        if width != self._drawn_width:
            self._strips.clear()
            self._drawn_width = width
        kept, lines = self._strips, []
        for y in crop.line_range:
            strip = kept.get(y)
            if strip is None:
                strip = kept[y] = self._line(y)
            lines.append(strip)
        if crop.column_span != (0, width):
            return [strip.crop(*crop.column_span) for strip in lines]
        return lines

    def _line(self, y: int) -> Strip:
        return _filtered(self, self.render_line(y))


class MainPart(Widget):
    """Mixin for what a screen is about: notices may cover it, and nothing below it."""


class ScrolledRows(Widget):
    """Mixin for a widget that shows those of its rows that fit, from ``top`` on."""

    top: int = 0

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        raise NotImplementedError

    def action_scroll(self, rows: int) -> None:
        """Scroll."""
        last = max(0, self.row_count - self.size.height)
        self.top = max(0, min(last, self.top + rows))
        self.refresh()

    def action_page(self, pages: float) -> None:
        """Scroll by pages."""
        self.action_scroll(int(pages * max(1, self.size.height - 1)))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel scrolls three rows."""
        self.action_scroll(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel scrolls three rows."""
        self.action_scroll(-3)


class BlankBackground(Widget):
    """Mixin for containers that show only their background: they are drawn with every frame.
    Textual's own ``BLANK`` leaves out the filters, so NO_COLOR too."""

    def render_lines(self, crop: Region) -> list[Strip]:
        """Empty lines in the ground's style."""
        strip = Strip.blank(crop.width, self.visual_style.rich_style)
        return [_filtered(self, strip)] * crop.height


def _filtered(widget: Widget, strip: Strip) -> Strip:
    """What filters of the application, as that of NO_COLOR, make of a line."""
    for rule in widget.get_line_filters():
        strip = strip.apply_filter(rule, widget.background_colors[1])
    return strip
