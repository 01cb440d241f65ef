"""What a person is asked before something is fetched, and what fetching tells meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tui.text.units import size


@dataclass(frozen=True, slots=True)
class Offer:
    """What would be fetched. ``total`` bytes in ``files`` files come into ``folder``, whose
    disk has ``free`` bytes; ``here`` of them need not be fetched again. ``source`` is who
    sends them, ``remark`` what else a person should know."""

    name: str
    source: str
    files: int
    total: int
    here: int
    folder: Path
    free: int
    remark: str = ""

    def __str__(self) -> str:
        """In one English line."""
        remark = f" ({self.remark})" if self.remark else ""
        here = f" ({size(self.here)} of it are here already)" if self.here else ""
        return (
            f"{self.name}{remark} from {self.source}: {self.files} "
            f"{'file' if self.files == 1 else 'files'}, {size(self.total)}{here}, "
            f"into {self.folder} ({size(self.free)} free)"
        )


Consent = Callable[[Offer], bool]
"""Whether it may be fetched."""

Files = dict[str, tuple[int, int]]
"""For each file ``(bytes here, size)``."""

Each = Callable[[Files], None]
"""Hears the bytes of every file now and then."""
