"""Which of several GGUF files is meant: those of one model differ by how they are quantised."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tui.checkpoints.gguf_parts import (
    SUFFIX,
    display_stem,
    is_later_part,
    quantisation_in_name,
)
from tui.host.errors import UserError

_OTHERS = ("mmproj", "imatrix")
"""How files are called that lie beside models and are none."""


def models_among(names: Iterable[str]) -> list[str]:
    """The file names that stand for a model each: of a split one its first part."""
    found = [name for name in names if name.lower().endswith(SUFFIX)]
    return sorted(
        name
        for name in found
        if not is_later_part(Path(name)) and not Path(name).name.lower().startswith(_OTHERS)
    )


def short_names(names: Sequence[str]) -> dict[str, str]:
    """For each of `models_among` the shortest text that means it alone: its quantisation, else its
    name without ending."""
    quantised = {name: quantisation_in_name(Path(name)) for name in names}
    told = list(quantised.values())
    return {
        name: kind if kind and told.count(kind) == 1 else display_stem(Path(name))
        for name, kind in quantised.items()
    }


def choose(names: Iterable[str], wanted: str, model: str) -> str:
    """The one of these file names that ``wanted`` means (a quantisation such as ``q4_k_m``, or a
    name); with an empty ``wanted`` the only one.

    Raises:
        UserError: none is meant, or several; says which there are. ``model`` is how the choice
            is asked for, such as ``ms:OWNER/NAME``.
    """
    known = models_among(names)
    short = short_names(known)
    low = wanted.lower().removesuffix(SUFFIX)
    exact = [n for n in known if low in (short[n].lower(), display_stem(Path(n)).lower())]
    form = re.compile(rf"(?:^|[-._ /]){re.escape(low)}(?:$|[-._ /])")
    alike = exact or [n for n in known if form.search(_without_ending(n).lower())]
    found = alike if wanted else known
    if len(found) == 1:
        return found[0]
    options = ", ".join(f"{model}#{short[name]}" for name in (found or known)[:12])
    if found and wanted:
        raise UserError(f"'{wanted}' means {len(found)} files of {model}", f"name one: {options}")
    if found:
        raise UserError(f"{model} holds {len(found)} GGUF files", f"name one: {options}")
    if not known:
        raise UserError(f"{model} holds no GGUF file", "choose another repository")
    raise UserError(f"{model} holds no GGUF file '{wanted}'", f"name one: {options}")


def _without_ending(name: str) -> str:
    path = Path(name)
    return str(path.with_name(display_stem(path)))


def files_in(folder: Path) -> list[Path]:
    """The GGUF files of a folder and of those directly in it, one for each model."""
    try:
        inside = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]
        below = [file for entry in inside if entry.is_dir() for file in sorted(entry.iterdir())]
    except OSError:
        return []
    names = [str(file.relative_to(folder)) for file in (*inside, *below) if file.is_file()]
    return [folder / name for name in models_among(names)]


def cached_gguf(folder: Path, wanted: str, model: str) -> Path | None:
    """The GGUF file that is meant in a folder of a hub's cache; None where none is asked for and
    the folder is a checkpoint, or holds no GGUF file.

    Raises:
        UserError: as `choose`.
    """
    names = [str(file.relative_to(folder)) for file in files_in(folder)]
    if not names or (not wanted and (folder / "config.json").is_file()):
        return None
    return folder / choose(names, wanted, model.partition("#")[0])
