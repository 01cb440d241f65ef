"""The text of a file in the encodings that question sets come in."""

import codecs
from pathlib import Path

from tui.host import foreign_files
from tui.host.errors import UserError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LEAST_COMMON = 0.8
"""Latin-1 text often decodes as GBK, but then into characters that are seldom written."""


def read_decoded(path: Path, most: int, next_step: str) -> tuple[str, str]:
    """The text of an ordinary file of at most ``most`` bytes, lines ended by line feeds, and its
    encoding: UTF-8, UTF-16 behind a byte order mark (Excel's "Unicode text"), or GBK.

    Raises:
        UserError: it cannot be read (with ``next_step``), or is in another encoding.
    """
    try:
        data = foreign_files.read_bytes(path, most)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}", next_step) from None
    text, encoding = _decoded(data, path)
    return text.replace("\r\n", "\n").replace("\r", "\n"), encoding


def _decoded(data: bytes, path: Path) -> tuple[str, str]:
    if data.startswith(_UTF16):
        try:
            return data.decode("utf-16"), "UTF-16"
        except UnicodeDecodeError:
            raise UserError(f"{path}: not UTF-16", "save the file as UTF-8") from None
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode(), "UTF-8"
    except UnicodeDecodeError as error:
        if (text := _gbk(data)) is not None:
            return text, "GBK"
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8", "save the file as UTF-8") from None


def _gbk(data: bytes) -> str | None:
    """Text in GBK (all of GB 18030); None where it is not, or looks like another encoding."""
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return None
    wide = [c for c in text if ord(c) > 127]
    common = sum(1 for c in wide if c.encode("gb2312", "ignore"))
    return text if common >= _LEAST_COMMON * len(wide) else None
