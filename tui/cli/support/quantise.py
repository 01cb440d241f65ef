"""``duibi models quantize``: quantises a checkpoint ahead of its first use."""

import time
from pathlib import Path
from typing import Any

from tui.checkpoints import build_cache, gguf_cache, quantised_cache
from tui.checkpoints.memory_estimate import QUANTISED_DTYPES
from tui.cli.support.download_progress import ProgressLine
from tui.cli.support.printing import tell
from tui.engines.base import EngineError
from tui.engines.local import LocalEngine
from tui.events import Body, Load
from tui.host import cpu, paths
from tui.host.errors import UserError
from tui.models.conversion import disk_remark
from tui.models.reference import Reference
from tui.models.remove import disk_bytes
from tui.models.resolve import resolve
from tui.models.resolved import LOCAL
from tui.text.units import format_size

_WORKER_EXIT_S = 3.0


def quantise_model(model: str, reference: Reference, to: str) -> dict[str, Any]:
    """Make and keep the reduced weights of a model here, which a person called ``model``, with
    progress on stderr.

    What an earlier, interrupted try left is removed, also after an interruption now. Gives
    ``model``, ``dtype``, ``checkpoint_bytes``, ``bytes`` (what was kept), ``seconds``,
    ``path`` and ``made`` (False: it was there already).

    Raises:
        UserError: not a model of this machine, or its weights cannot be reduced or kept.
    """
    if to not in QUANTISED_DTYPES:
        raise UserError(f"--to {to!r} is no reduced format", f"use {' or '.join(QUANTISED_DTYPES)}")
    found = resolve(reference, lambda text: False, lambda stage, done, total: None)
    if found.engine != LOCAL:
        raise UserError(f"{model} holds no weights here", "name a checkpoint folder")
    if told := disk_remark(found):
        tell(told)
    before = {one.folder for one in quantised_cache.entries()}
    began = time.monotonic()
    engine = LocalEngine(
        found.checkpoint, to, cpu.cores(), paths.log_file().with_name("quantize.log")
    )
    try:
        with ProgressLine() as progress:

            def show(t_ns: int, body: Body) -> None:
                if isinstance(body, Load) and body.total:
                    progress(f"{to} {body.stage}", body.done, body.total)

            loaded = engine.load(show)
    except EngineError as error:
        raise UserError(f"{model}: {error.message}", error.next_step, 1) from None
    finally:
        engine.close()
        _remove_unfinished()
    after = {one.folder: one for one in quantised_cache.entries()}
    made = next((one for folder, one in after.items() if folder not in before), None)
    kept = made or _find_cached(found.checkpoint, to)
    if kept is None:
        raise UserError(
            f"{model}: nothing was kept: {'; '.join(loaded.notes)}", "`duibi doctor` shows the disk"
        )
    return {
        "model": model,
        "dtype": to,
        "checkpoint_bytes": found.checkpoint_bytes,
        "bytes": disk_bytes(kept.folder),
        "seconds": round(time.monotonic() - began, 1),
        "path": str(kept.folder),
        "made": made is not None,
    }


def summary(made: dict[str, Any]) -> str:
    """The same in a line."""
    what = "made" if made["made"] else "was here already"
    return (
        f"{made['model']}@{made['dtype']} {what}: {format_size(made['checkpoint_bytes'])} -> "
        f"{format_size(made['bytes'])} in {made['seconds']} s"
    )


def _remove_unfinished() -> None:
    """Remove unfinished files, again until the worker process has exited."""
    end = time.monotonic() + _WORKER_EXIT_S
    while build_cache.remove_unfinished(quantised_cache.root()) and time.monotonic() < end:
        time.sleep(0.05)


def _find_cached(checkpoint: Path, dtype: str) -> quantised_cache.QuantisedEntry | None:
    sources = [checkpoint.resolve(), *(one.source for one in _cached_of_gguf(checkpoint))]
    return next(
        (one for one in quantised_cache.entries() if one.dtype == dtype and one.source in sources),
        None,
    )


def _cached_of_gguf(gguf: Path) -> list[quantised_cache.QuantisedEntry]:
    """What is kept of the folders that a GGUF file was converted to."""
    folders = gguf_cache.entries_of(gguf)
    return [one for one in quantised_cache.entries() if one.source in folders]
