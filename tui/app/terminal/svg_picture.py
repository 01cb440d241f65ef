"""Corrects the widths of East Asian characters in Textual's SVG export."""

import re
from html import escape, unescape

from rich.cells import cell_len, split_graphemes

from tui.reports.png_picture import FONTS

_FACES = re.compile(r"@font-face \{.*?\}", re.DOTALL)
_FAMILY = re.compile(r"font-family: Fira Code, monospace")
_TEXT = re.compile(
    r'<text class="(?P<cls>[^"]*)" x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)" '
    r'textLength="(?P<len>[\d.]+)"(?P<rest>[^>]*)>(?P<text>[^<]*)</text>'
)


def repair_svg(svg: str) -> str:
    """An export in which wide characters keep their two cells, and that fetches no fonts.

    Rich gives each run of text the length of its code points; runs are cut here where the
    width of the characters changes. Narrow ones get the length of their cells, of wide ones each
    gets its own place: fonts draw them wider or narrower than two cells of another font.
    """
    cell = _cell_width(svg)
    svg = _FAMILY.sub(f"font-family: {FONTS}", _FACES.sub("", svg))
    return _TEXT.sub(lambda match: _runs(match, cell), svg) if cell else svg


def _cell_width(svg: str) -> float:
    match = _TEXT.search(svg)
    return float(match["len"]) / len(unescape(match["text"])) if match and match["text"] else 0.0


def _runs(match: re.Match[str], cell: float) -> str:
    text = unescape(match["text"])
    if cell_len(text) == len(text):
        return match[0]
    parts: list[tuple[str, int, int]] = []
    for start, end, cells in split_graphemes(text)[0]:
        kind = cells if end - start == 1 else 0  # a cluster stands alone
        if parts and kind and parts[-1][1] == kind:
            piece, _, total = parts[-1]
            parts[-1] = (piece + text[start:end], kind, total + cells)
        else:
            parts.append((text[start:end], kind, cells))
    x, made = float(match["x"]), []
    for piece, _, total in parts:
        if piece.strip("\xa0 "):
            place = f'x="{x:g}" y="{match["y"]}" textLength="{total * cell:g}"'
            if total == 2 * len(piece):
                xs = " ".join(f"{x + 2 * cell * i:g}" for i in range(len(piece)))
                place = f'x="{xs}" y="{match["y"]}"'
            text = escape(piece, quote=False)
            made.append(f'<text class="{match["cls"]}" {place}{match["rest"]}>{text}</text>')
        x += total * cell
    return "".join(made)
