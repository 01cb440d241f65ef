"""The cache of quantised weights (int8, int4), and the checkpoints they were made of."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tui.checkpoints import build_cache
from tui.checkpoints.weight_headers import shard_names
from tui.host import foreign_files
from tui.host.paths import cache_dir

QUANTISER_VERSIONS = {"int8": 2, "int4": 3}
"""Of a format; counts up when the same checkpoint would be quantised differently."""

_SAMPLE = 1 << 16


@dataclass(frozen=True, slots=True)
class QuantisedEntry:
    """Quantised weights in the cache: of which checkpoint folder, in which format."""

    folder: Path
    source: Path
    dtype: str

    @property
    def is_outdated(self) -> bool:
        """Whether another version of this program made them."""
        return not self.folder.name.endswith(f"-{QUANTISER_VERSIONS.get(self.dtype)}")


def root() -> Path:
    """The folder of all of them."""
    return cache_dir() / "formats"


def entry_folder(
    checkpoint: Path, dtype: str, variant: str, adapter_files: Sequence[Path] = ()
) -> Path:
    """Where the quantised weights of a checkpoint folder belong. ``variant`` names what else
    their bytes depend on, such as the order in which a CPU wants them; ``adapter_files`` are those
    of an adapter that is merged into them.

    The key is made of the names, sizes and times of the weight files, their first and
    middle bytes, and config.json: hashing 15 GB at each start would take longer than it saves.
    """
    version = QUANTISER_VERSIONS[dtype]
    digest = hashlib.sha256(f"{version} {variant} ".encode())
    own = [checkpoint / "config.json", *(checkpoint / n for n in shard_names(checkpoint))]
    for path in (*own, *adapter_files):
        stat = path.stat()
        digest.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns} ".encode())
        with foreign_files.open_binary(path) as file:
            digest.update(file.read(_SAMPLE))
            file.seek(stat.st_size // 2)
            digest.update(file.read(_SAMPLE))
    return root() / f"{digest.hexdigest()[:24]}-{dtype}-{version}"


def entries() -> Iterator[QuantisedEntry]:
    """All that is in the cache, whole or not."""
    for folder, said in build_cache.entries(root()):
        source, dtype = said.get("source"), said.get("dtype")
        if isinstance(source, str) and isinstance(dtype, str):
            yield QuantisedEntry(folder, Path(source), dtype)


def entries_of(checkpoint: Path, dtype: str = "") -> list[QuantisedEntry]:
    """What is in the cache of one checkpoint folder, in all formats or in one."""
    wanted = checkpoint.resolve()
    return [one for one in entries() if one.source == wanted and dtype in ("", one.dtype)]


def ensure(folder: Path, checkpoint: Path, dtype: str, make: Callable[[Path], None]) -> Path:
    """``folder`` (`entry_folder`), whole: as it is, or filled by ``make(temporary folder)``.

    Raises:
        OSError: it cannot be written.
    """

    def make_entry(temporary: Path) -> dict[str, str]:
        make(temporary)
        return {"source": str(checkpoint), "dtype": dtype}

    return build_cache.ensure(folder, make_entry)
