"""How things look and what they say: the theme in use and the language, for all widgets."""

from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.app.style.messages import Messages
from tui.app.style.themes import Theme

StyledText = tuple[str, str]
"""Text and the names of its styles, ``"panel bold"``; see `tui.app.style.themes.ROLES`."""


class Appearance:
    """The theme and the messages; ``revision`` grows with every change of theme. ``pictures``
    of the screen are ``svg``, or ``png`` as well."""

    def __init__(self, theme: Theme, say: Messages, pictures: str = "svg") -> None:
        self.theme, self.say, self.pictures, self.revision = theme, say, pictures, 0
        self._style = lru_cache(256)(self._combined_style)
        self._chosen = Style.null()

    def set_theme(self, theme: Theme) -> None:
        """Change the theme; the caller repaints."""
        self.theme = theme
        self.revision += 1
        self._style.cache_clear()

    def set_colourless(self, is_colourless: bool) -> None:
        """Without colours what is chosen is shown in reverse."""
        self._chosen = Style(reverse=True) if is_colourless else Style.null()
        self._style.cache_clear()

    def style(self, names: str) -> Style:
        """The Rich style of some style names, later ones over earlier ones."""
        return self._style(names)

    def _combined_style(self, names: str) -> Style:
        found = (self.theme.styles[name] for name in names.split())
        made = sum(found, Style.null())
        return made + self._chosen if "cursor" in names.split() else made

    def strip(self, pieces: list[StyledText], width: int, base_style: str = "text") -> Strip:
        """One line of a widget, cut or filled to ``width`` cells on a ground style."""
        base = self.style(base_style)
        segments = [Segment(text, base + self.style(names)) for text, names in pieces if text]
        used = sum(len(text) if text.isascii() else cell_len(text) for text, _ in pieces)
        if used > width:
            return Strip(segments).adjust_cell_length(width, base)
        if used < width:
            segments.append(Segment(" " * (width - used), base))
        return Strip(segments, width)
