"""Pictures as PNG: drawn by resvg, an extra (``pip install 'duibi[png]'``)."""

import re
from functools import cache

from tui.host import extras
from tui.host.errors import UserError

FONTS = (
    "'Fira Code', 'DejaVu Sans Mono', Menlo, Consolas, "
    "'Noto Sans Mono CJK SC', 'PingFang SC', 'Microsoft YaHei', monospace"
)
"""Of pictures of the screen."""
WIDTH = 1600
"""Pixels: sharp on paper, and some 200 kB a picture."""
_CHINESE = re.compile(r"[\u3400-\u9fff]")


def svg_to_png(svg: str) -> bytes:
    """The picture as PNG, with the fonts of this machine.

    Raises:
        UserError: the extra is not installed, or the picture cannot be drawn.
    """
    extras.require(extras.PNG)
    try:
        return _rasterise(svg, WIDTH)
    except ValueError as error:
        raise UserError(f"the picture cannot be drawn: {error}", "take SVG") from None


def lacks_glyphs(svg: str) -> bool:
    """Whether letters in it would be missing, as no font of this machine has them."""
    return not _has_glyph("a") or (bool(_CHINESE.search(svg)) and not _has_glyph("\u4e2d"))


@cache
def _has_glyph(letter: str) -> bool:
    """Whether a letter can be drawn: without a glyph nothing comes of it, or an empty box."""

    def drawn(text: str) -> bytes:
        head = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40">'
        style = f'font-size="24" font-family="{FONTS}"'
        return _rasterise(f'{head}<text x="4" y="30" {style}>{text}</text></svg>', 40)

    return drawn(letter) not in (drawn(""), drawn("\U0010fffd"))


def _rasterise(svg: str, width: int) -> bytes:
    import resvg_py

    return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=width))
