"""The pictures of a report: within it, or as files beside it."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace

from tui.host.secrets import redact_secrets
from tui.reports.document import Document, Figure
from tui.reports.png_picture import lacks_glyphs, svg_to_png


def figures(document: Document) -> Iterator[Figure]:
    """Every picture that is drawn, in order."""
    return (block for block in document.blocks if isinstance(block, Figure))


def draw_png(figure: Figure) -> bytes:
    """A picture as PNG, without the secrets of the environment.

    Raises:
        UserError: it cannot be drawn.
    """
    return svg_to_png(redact_secrets(figure.svg))


def with_data_urls(document: Document) -> Document:
    """The report with its pictures as PNG within it, for one file without others.

    Raises:
        UserError: they cannot be drawn.
    """
    blocks = [_with_data_url(b) if isinstance(b, Figure) else b for b in document.blocks]
    return replace(document, blocks=tuple(blocks))


def _with_data_url(figure: Figure) -> Figure:
    data = b64encode(draw_png(figure)).decode()
    return replace(figure, svg="", image=f"data:image/png;base64,{data}")


def picture_files(document: Document, ending: str) -> dict[str, str | bytes]:
    """The pictures as files to lie beside the report, by name; ``ending`` is svg or png.

    Raises:
        UserError: they cannot be drawn.
    """
    return {
        f"{figure.name}.{ending}": draw_png(figure) if ending == "png" else figure.svg
        for figure in figures(document)
    }


def letters_are_missing(document: Document) -> bool:
    """Whether this machine has no font for letters in a picture that is drawn as PNG; False where
    nothing can draw one, which is told when it is drawn."""
    try:
        return any(lacks_glyphs(figure.svg) for figure in figures(document))
    except ImportError:
        return False
