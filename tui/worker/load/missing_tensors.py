"""Whether a checkpoint's files hold all of its model, seen by the names in their headers."""

from pathlib import Path

from tui.worker.load.checkpoint_folder import open_folder
from tui.worker.load.deferred import missing_names
from tui.worker.load.families import family_of
from tui.worker.load.loader import model_spec_of, refuse_incomplete
from tui.worker.load.shards import native_names


def require_all_tensors(path: Path) -> None:
    """Check a folder; a model with code of its own is not made for that.

    Raises:
        CheckpointError: some are missing, or as `open_folder`.
    """
    folder = open_folder(path)
    if not folder.architecture.is_native:
        return
    family = family_of(folder.architecture.family)
    names = native_names((one.name for one in folder.tensors), family.rules)
    missing = missing_names(model_spec_of(folder, family).empty, names)
    refuse_incomplete({"missing_keys": missing})
