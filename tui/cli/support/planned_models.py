"""The models that `duibi models fit` plans for, without loading them."""

from collections.abc import Callable
from dataclasses import replace

from tui.checkpoints.gguf_parts import is_gguf
from tui.host.errors import UserError
from tui.host.paths import expand
from tui.models import ollama_files
from tui.models.catalogue import suggestions
from tui.models.discover import FoundModel, find_checkpoint, find_demo
from tui.models.gguf_choice import cached_gguf
from tui.models.hubs import HUBS
from tui.models.reference import Reference
from tui.models.resolve import resolve
from tui.run import plan


def read_subjects(
    models: list[str], read: Callable[[str], Reference]
) -> tuple[list[plan.ModelSize], list[tuple[str, UserError]]]:
    """What is planned for, and what cannot be used: with its name. ``read``: a reference
    of a text.

    Raises:
        UserError: the only one cannot be used.
    """
    found, unusable = [], []
    for text in models:
        try:
            found.append(_subject(read(text)))
        except UserError as error:
            unusable.append((text, error))
    if unusable and len(models) == 1:
        raise unusable[0][1]
    return found, unusable


def _subject(ref: Reference) -> plan.ModelSize:
    if ref.kind == "demo":
        return plan.size_of_found(find_demo(), ref.text, ref.dtype or find_demo().default_dtype)
    if ref.kind in HUBS:
        folder = HUBS[ref.kind].folder(ref.target)
        here = gguf_of(ref) or (find_checkpoint(folder, ref.text) if folder.is_dir() else None)
        if here and here.parameters:
            return plan.size_of_found(here, ref.text, ref.dtype or here.default_dtype)
        for one in suggestions():
            if one.reference.lower() == f"{HUBS[ref.kind].scheme}:{ref.target}".lower():
                return plan.ModelSize(
                    ref.text, ref.dtype or one.default_dtype, one.parameters, one.shape
                )
        raise UserError(f"{ref.text} is not here", f"duibi models get {ref.text}")
    resolved = resolve(ref, lambda text: False, lambda stage, done, total: None)
    return replace(plan.size_of_model(resolved), label=ref.text)


def gguf_of(ref: Reference) -> FoundModel | None:
    """What is known of the GGUF file of a reference; None where it means something else."""
    if ref.kind == "demo":
        return find_demo()
    if ref.kind == "ollama":
        return find_checkpoint(ollama_files.find(ref.target).blob, ref.text)
    if ref.kind in HUBS:
        file = cached_gguf(HUBS[ref.kind].folder(ref.target), ref.file, ref.text)
        return find_checkpoint(file, ref.text) if file else None
    path = expand(ref.target)
    return find_checkpoint(path, ref.text) if ref.kind == "gguf" or is_gguf(path) else None
