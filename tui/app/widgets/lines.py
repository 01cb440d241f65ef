"""A widget of a few drawn lines that repaints only those that changed."""

from textual.geometry import Region
from textual.strip import Strip

from tui.app.style.appearance import Appearance, StyledText
from tui.app.widgets.line_widget import LineWidget


class Lines(LineWidget):
    """Base of the bars: `show` takes the lines, each a list of styled pieces."""

    base_style = "text"

    def __init__(self, appearance: Appearance, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.appearance = appearance
        self.lines: list[list[StyledText]] = []

    def show(self, lines: list[list[StyledText]]) -> None:
        """Draw these lines; what stays the same is not touched."""
        old, self.lines = self.lines, lines
        if not self.size:
            return
        for y in range(max(len(old), len(lines))):
            if old[y : y + 1] != lines[y : y + 1]:
                self.refresh(Region(0, y, self.size.width, 1))

    @property
    def text(self) -> str:
        """What is shown, without styles."""
        return "\n".join("".join(text for text, _ in line) for line in self.lines)

    def render_line(self, y: int) -> Strip:
        """One line, filled with the ground."""
        pieces = self.lines[y] if y < len(self.lines) else []
        return self.appearance.strip(pieces, self.size.width, self.base_style)
