"""Keeps the text of notices whole, in whatever way the screen is written or drawn, and asks only
for lines that are drawn.

Textual cuts every line of a screen where any widget on it begins or ends, those below a notice too:
a wide character of the notice that stands across such a place would be lost. And for two lines of
one pane it has every widget of the screen make all of its own.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from textual._compositor import Compositor
from textual.geometry import Region
from textual.strip import Strip
from textual.widgets._toast import Toast


class NoticeCompositor(Compositor):
    """A compositor that does not cut the lines of notices, and renders no others than it needs."""

    def _get_renders(
        self, crop: Region | None = None
    ) -> Iterable[tuple[Region, Region, list[Strip]]]:
        if crop is None:
            yield from super()._get_renders()
            return
        for widget, (region, clip) in self.visible_widgets.items():
            shown = region.intersection(clip)
            top, bottom = max(shown.y, crop.y), min(shown.bottom, crop.bottom)
            if shown and top < bottom and shown.overlaps(crop):
                rows = Region(shown.x, top, shown.width, bottom - top)
                yield rows, rows, widget.render_lines(rows.translate(-region.offset))

    def _render_chops(
        self, crop: Region, is_rendered_line: Callable[[int], bool]
    ) -> Sequence[Mapping[int, Strip]]:
        made = super()._render_chops(crop, is_rendered_line)
        notices = [one for one in self.visible_widgets.items() if isinstance(one[0], Toast)]
        if not notices:
            return made
        chops = [dict(line) for line in made]
        for widget, (region, clip) in notices:
            shown = region.intersection(clip)
            if shown != region or not region.overlaps(crop):
                continue
            lines = widget.render_lines(Region(0, 0, region.width, region.height))
            for y, strip in zip(region.line_range, lines, strict=True):
                line = chops[y]
                if line.get(region.x) is None:
                    continue
                for x in line:
                    if region.x < x < region.right:
                        line[x] = Strip([], 0)
                line[region.x] = strip
        return chops
