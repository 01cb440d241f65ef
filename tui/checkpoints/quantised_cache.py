"""Where reduced weights (int8, int4) of checkpoints are kept, and whose they are."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tui.checkpoints.weight_headers import shard_names
from tui.host.paths import cache_dir

QUANTISER_VERSION = 2
"""Counts up when the same checkpoint would be reduced differently."""
MANIFEST = "duibi.json"

_SAMPLE = 1 << 16


@dataclass(frozen=True, slots=True)
class QuantisedEntry:
    """Reduced weights in the cache: of which checkpoint folder, in which format."""

    folder: Path
    source: Path
    dtype: str

    @property
    def is_outdated(self) -> bool:
        """Whether another version of this program made them."""
        return not self.folder.name.endswith(f"-{QUANTISER_VERSION}")


def root() -> Path:
    """The folder of all of them."""
    return cache_dir() / "formats"


def entry_folder(checkpoint: Path, dtype: str, variant: str) -> Path:
    """Where the reduced weights of a checkpoint folder belong. ``variant`` names what else
    their bytes depend on, such as the order in which a CPU wants them.

    The key is made of the names, sizes and times of the weight files, their first and
    middle bytes, and config.json: who hashes 15 GB at each start loads no faster.
    """
    digest = hashlib.sha256(f"{QUANTISER_VERSION} {variant} ".encode())
    for path in [checkpoint / "config.json", *(checkpoint / n for n in shard_names(checkpoint))]:
        stat = path.stat()
        digest.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns} ".encode())
        with path.open("rb") as file:
            digest.update(file.read(_SAMPLE))
            file.seek(stat.st_size // 2)
            digest.update(file.read(_SAMPLE))
    return root() / f"{digest.hexdigest()[:24]}-{dtype}-{QUANTISER_VERSION}"


def entries() -> Iterator[QuantisedEntry]:
    """All that is in the cache, whole or not."""
    folder = root()
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            said = json.loads((entry / MANIFEST).read_text(encoding="utf-8"))
            yield QuantisedEntry(entry, Path(said["source"]), str(said["dtype"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue


def remove_unfinished() -> bool:
    """Remove what processes that are gone left half made; whether some is left, because
    its process is there."""
    folder, left = root(), False
    for entry in folder.glob("*.part") if folder.is_dir() else ():
        maker = entry.name.split(".")[-2]
        if maker.isdigit() and Path(f"/proc/{maker}").exists():
            left = True
        else:
            shutil.rmtree(entry, ignore_errors=True)
    return left


def entries_of(checkpoint: Path, dtype: str = "") -> list[QuantisedEntry]:
    """What is in the cache of one checkpoint folder, in all formats or in one."""
    wanted = checkpoint.resolve()
    return [one for one in entries() if one.source == wanted and dtype in ("", one.dtype)]
