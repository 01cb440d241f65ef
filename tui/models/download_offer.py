"""What a person is asked before something is fetched, and what fetching tells meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tui.text.units import format_size


@dataclass(frozen=True, slots=True)
class DownloadOffer:
    """What would be fetched. ``total`` bytes in ``files`` files come into ``folder``, whose
    disk has ``free`` bytes; ``present_bytes`` of them need not be fetched again. ``source`` is who
    sends them, ``remark`` what else a person should know."""

    name: str
    source: str
    files: int
    total: int
    present_bytes: int
    folder: Path
    free: int
    remark: str = ""

    def __str__(self) -> str:
        """In one English line."""
        remark = f" ({self.remark})" if self.remark else ""
        here = (
            f" ({format_size(self.present_bytes)} of it are here already)"
            if self.present_bytes
            else ""
        )
        return (
            f"{self.name}{remark} from {self.source}: {self.files} "
            f"{'file' if self.files == 1 else 'files'}, {format_size(self.total)}{here}, "
            f"into {self.folder} ({format_size(self.free)} free)"
        )


AskConsent = Callable[[DownloadOffer], bool]
"""Whether it may be fetched."""

FileCounts = dict[str, tuple[int, int]]
"""For each file ``(bytes here, size)``."""

FileProgress = Callable[[FileCounts], None]
"""Hears the bytes of every file now and then."""
