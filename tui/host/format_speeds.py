"""How fast this machine computes each format: measured by `duibi doctor` and `duibi bench`, kept in
the cache, and read where a format or a batch is chosen.

A file belongs to one machine with one set of kernels: of another, or after a change of either, it
has another name.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from tui.host import cpu, kernel_compiler, kernel_library
from tui.host.errors import UserError
from tui.host.paths import cache_dir
from tui.host.save_file import replace_file

BATCH_ROWS = (1, 2, 4, 8)
"""Rows of a product that a step of so many answers needs."""
PROMPT_ROWS = 256


@dataclass(frozen=True, slots=True)
class FormatSpeeds:
    """``weights_s`` is what linear layers whose weights no cache holds multiply: by format and
    rows, weights times rows a second. ``batches`` are tokens a second of whole models, of all
    answers of a batch together with their prompts: by `model_key` and answers. ``kernels`` as in
    `tui.events.Loaded`; ``measured`` is a date (UTC)."""

    kernels: str = ""
    measured: str = ""
    weights_s: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    batches: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

    def ratio(self, dtype: str, other: str, rows: int) -> float | None:
        """How many times as fast a format is as another; None: not measured."""
        mine = self.weights_s.get(dtype, {}).get(rows)
        theirs = self.weights_s.get(other, {}).get(rows)
        return mine / theirs if mine and theirs else None

    def is_slower_together(self, key: str, dtype: str, size: int) -> bool:
        """Whether so many answers of a model take longer decoded together than one after another,
        by its own figures where it was measured, else by those of the format."""
        for found in (self.batches.get(key, {}), self.weights_s.get(dtype, {})):
            if 1 in found and size in found:
                return found[size] < found[1]
        return False


def model_key(parameters: int, dtype: str) -> str:
    """What a model's figures are kept under."""
    return f"{parameters}@{dtype}"


def read() -> FormatSpeeds:
    """What is known of this machine; nothing where nothing was measured."""
    try:
        return parse(place().read_text())
    except (OSError, UserError, ValueError):
        return FormatSpeeds()


def parse(text: str) -> FormatSpeeds:
    """From JSON.

    Raises:
        ValueError: it is something else.
    """
    try:
        told = json.loads(text)
        return FormatSpeeds(
            str(told["kernels"]),
            str(told["measured"]),
            _figures(told["weights_s"]),
            _figures(told["batches"]),
        )
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no speeds: {error}") from None


def keep(speeds: FormatSpeeds) -> None:
    """Keep it; a cache that cannot be written costs the next measurement."""
    with contextlib.suppress(OSError, UserError):
        kept = place()
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        replace_file(kept, json.dumps(asdict(speeds)).encode())


def place() -> Path:
    """The file of this machine, named after all that the figures depend on."""
    limits = [os.environ.get(name, "") for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")]
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch = ""
    variant = kernel_library.expected_variant()
    kernels = kernel_compiler.library_file_name(variant) if variant else ""
    known = "\n".join([cpu.model_name(), str(cpu.cores()), torch, kernels, *limits])
    return cache_dir() / "speeds" / f"{hashlib.sha256(known.encode()).hexdigest()[:24]}.json"


def _figures(told: Any) -> dict[str, dict[int, float]]:
    return {
        str(name): {int(rows): float(value) for rows, value in found.items()}
        for name, found in told.items()
    }
