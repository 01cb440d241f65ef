"""What the parent is told of a model that is loaded, whatever computes it. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from tui.checkpoints.gguf_header import read_header
from tui.checkpoints.gguf_parts import size_of
from tui.events import Loaded
from tui.worker.decode.sampling import resolve_sampling
from tui.worker.loaded_model import LoadedModel
from tui.worker.lost_cores import LostCores


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """What was measured while a model loaded: seconds in all, and of those for importing
    libraries, for reading files, and for making of these what is computed with; private and
    mapped bytes at the end and when they were highest; the cores that were lost; the
    number of threads that compute."""

    load_s: float
    import_s: float
    read_s: float
    prepare_s: float
    memory: tuple[int, int]
    peak: tuple[int, int]
    lost: LostCores
    threads: int


def loaded_event(loaded: LoadedModel, given: Path, figures: LoadFigures) -> Loaded:
    """What the parent is told of a model that was made of the folder or file ``given``, with
    what was measured while it loaded."""
    checkpoint = loaded.checkpoint
    max_new_tokens = checkpoint.sampling_defaults.get("max_new_tokens")
    return Loaded(
        load_s=figures.load_s,
        import_s=figures.import_s,
        read_s=round(figures.read_s, 3),
        prepare_s=round(figures.prepare_s, 3),
        family=checkpoint.architecture,
        dtype=loaded.dtype,
        device=loaded.device,
        parameters=checkpoint.parameters,
        stored=read_header(given).stored if given.is_file() else checkpoint.stored,
        # Of a file that was converted, the file as it was given.
        checkpoint_bytes=size_of(given) if given.is_file() else checkpoint.checkpoint_bytes,
        weights_bytes=loaded.weights_bytes,
        context=loaded.context,
        threads=figures.threads,
        prompt_format=checkpoint.prompt_format,
        sampling=resolve_sampling(checkpoint.sampling_defaults, {}).to_json()
        | ({"max_new_tokens": max_new_tokens} if max_new_tokens else {}),
        private=figures.memory[0],
        mapped=figures.memory[1],
        peak_private=figures.peak[0],
        peak_mapped=figures.peak[1],
        notes=list(loaded.notes),
        kernels=loaded.kernels,
        kernels_note=loaded.kernels_note,
        contended=bool(figures.lost.by),
        contended_by=figures.lost.by,
    )
