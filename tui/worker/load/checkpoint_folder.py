"""A checkpoint folder on the disk: all that is known and checked of it without its weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.checkpoints.adapter import Adapter, read_adapter
from tui.checkpoints.architecture import Architecture, read_architecture
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.learned_prefix import (
    LearnedPrefix,
    check_fits,
    is_prefix_folder,
    prefix_among,
    read_learned_prefix,
)
from tui.checkpoints.size_check import contradicted_size
from tui.checkpoints.stored_quantisation import weights_of_parts
from tui.checkpoints.text_half import count_layers, left_out
from tui.checkpoints.weight_headers import (
    PLAIN_DTYPES,
    TensorHeader,
    commonest_dtype,
    count_parameters,
    read_config,
    read_tensor_headers,
)

SKIPPED_NOTES = {
    "tower": "only the text half is loaded, without what sees or hears",
    "prediction": "the layers that predict several tokens at once are not loaded",
}
"""What is said of tensors that are not loaded, by their part."""


@dataclass(frozen=True, slots=True)
class CheckpointFolder:
    """A checkpoint folder whose config and weight headers were read and agree. ``tensors`` are
    the weights of the text model, ``skipped`` the names of other tensors and the part each
    belongs to, ``adapter`` what is merged into them, ``prefix`` what stands before
    conversations."""

    path: Path
    config: dict[str, Any]
    architecture: Architecture
    tensors: list[TensorHeader]
    skipped: dict[str, str]
    adapter: Adapter | None = None
    prefix: LearnedPrefix | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What is said of the parts that are not loaded, and of a learned prefix."""
        parts = set(self.skipped.values())
        said = [said for part, said in SKIPPED_NOTES.items() if part in parts]
        told = self.architecture.quantisation
        if told and all(one.dtype != told.label for one in self.tensors):
            said.append(f"config.json says {told.label}, the files hold whole weights")
        if self.prefix:
            said.append(
                f"a learned prefix of {self.prefix.tokens} tokens stands before all it reads"
            )
        return tuple(said)

    @property
    def parameters(self) -> int:
        """How many numbers the weights have, tied ones once."""
        return count_parameters(self.tensors, self.architecture.is_tied)

    @property
    def plain_dtype(self) -> str:
        """The commonest dtype of the weights that are not reduced, as far as it is computed in."""
        found = commonest_dtype(one for one in self.tensors if one.dtype in PLAIN_DTYPES)
        return "fp32" if found == "fp64" else found or "bf16"

    @property
    def nbytes(self) -> int:
        """Bytes of all weights on disk."""
        return sum(t.nbytes for t in self.tensors)


def open_folder(path: Path, adapter: Path | None = None) -> CheckpointFolder:
    """Read and check everything that can be known without the weights; ``adapter`` is the folder of
    a LoRA adapter to be merged into them, or of a learned prefix.

    Raises:
        CheckpointError: no checkpoint, damaged, or of a kind that is refused.
    """
    if not path.is_dir():
        raise CheckpointError("not_found", f"no folder {path}", "check the path")
    config = read_config(path)
    known = read_architecture(config)
    tensors = read_tensor_headers(path)
    skipped = left_out((tensor.name for tensor in tensors), known)
    kept = [tensor for tensor in tensors if tensor.name not in skipped]
    if known.is_composite and count_layers(tensor.name for tensor in kept) == 0:
        raise CheckpointError(
            "unsupported",
            "its tensors have no names by which a text half is known",
            "use a chat model for text",
        )
    weights = weights_of_parts(kept, known.quantisation)
    folder = CheckpointFolder(path, config, known, weights, skipped, *_changes(adapter, tensors))
    if folder.prefix:
        check_fits(folder.prefix, known)
    # Memory is allocated by these sizes.
    if contradicted := contradicted_size(weights, known):
        raise CheckpointError(
            "damaged",
            contradicted.line,
            "fetch config.json and the weight files of the same model again",
        )
    return folder


def _changes(
    adapter: Path | None, tensors: list[TensorHeader]
) -> tuple[Adapter | None, LearnedPrefix | None]:
    """What an adapter's folder makes of a base: matrices to be merged, or a prefix in place of the
    one that may be among its own ``tensors``."""
    if adapter and is_prefix_folder(adapter):
        return None, read_learned_prefix(adapter)
    own = prefix_among(tensors, tensors[0].file.parent) if tensors else None
    return (read_adapter(adapter) if adapter else None), own
