"""The files of a model in GGUF form: one, or all parts of a split one, whichever is named.

Names as llama.cpp's ``llama-gguf-split`` makes them: ``NAME-00001-of-00003.gguf``.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tui.checkpoints.errors import CheckpointError
from tui.host import foreign_files

MAGIC = b"GGUF"
SUFFIX = ".gguf"
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_MOST_PARTS = 1000
_QUANTISATION = re.compile(
    r"(?:^|[-._ ])((?:UD-)?(?:(?:I?Q|TQ)[1-8]_\w+|BF16|FP?(?:8|16|32)(?:_\w+)?|(?:MX|NV)FP4\w*))$",
    re.IGNORECASE | re.ASCII,
)


def is_gguf(path: Path) -> bool:
    """Whether a path is a GGUF file: by its name, or, where that tells nothing, its first bytes."""
    if path.suffix.lower() == SUFFIX:
        return not path.is_dir()
    return has_magic(path)


def has_magic(path: Path) -> bool:
    """Whether a file begins as GGUF files do."""
    try:
        with foreign_files.open_binary(path) as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def first_part(path: Path) -> Path:
    """The file that tells of a whole split model; a file that is not split itself."""
    parts = all_parts(path)
    return parts[0]


def all_parts(path: Path) -> tuple[Path, ...]:
    """The files of the model that ``path`` is or is a part of, in order, there or not."""
    found = _PART.fullmatch(path.name)
    count = int(found["count"]) if found else 1
    if found is None or not 1 < count <= _MOST_PARTS or not 1 <= int(found["number"]) <= count:
        return (path,)
    ending = path.name[len(found["stem"]) + len("-00001-of-00001") :]
    return tuple(
        path.with_name(f"{found['stem']}-{number:05}-of-{count:05}{ending}")
        for number in range(1, count + 1)
    )


def is_later_part(path: Path) -> bool:
    """Whether a file is a part of a split model, and not its first."""
    return all_parts(path)[0] != path


def display_stem(path: Path) -> str:
    """What the model of a file is called: its name without ending and number of the part."""
    found = _PART.fullmatch(path.name)
    if found and 1 <= int(found["number"]) <= int(found["count"]) <= _MOST_PARTS:
        return found["stem"]
    return path.stem if path.suffix.lower() == SUFFIX else path.name


def quantisation_in_name(path: Path) -> str:
    """What the name of a file says of its formats, such as ``q4_k_m``; empty where it says
    nothing. A file without suffix is named by its hash, which may look like one."""
    found = _QUANTISATION.search(display_stem(path))
    return found[1].lower() if found and path.suffix.lower() == SUFFIX else ""


def size_of(path: Path) -> int:
    """Bytes of all parts that are there.

    Raises:
        OSError: the file itself cannot be looked at.
    """
    path.stat()
    return sum(part.stat().st_size for part in all_parts(path) if part.exists())


def check_parts(path: Path, told: int) -> tuple[Path, ...]:
    """`all_parts`, of which a header told how many there are.

    Raises:
        CheckpointError: the name does not lead to the others, or some are missing.
    """
    parts = all_parts(path)
    if len(parts) != told:
        raise CheckpointError(
            "unsupported",
            f"{path.name} is one of {told} parts of a model, and its name does not tell the others",
            f"name the files as they were published: NAME-00001-of-{told:05}.gguf",
        )
    if missing := [part.name for part in parts if not part.exists()]:
        raise CheckpointError(
            "not_found",
            f"{len(missing)} of {told} parts are missing: {_shortened(missing)}",
            f"fetch them into {path.parent}",
        )
    return parts


def check_contents(
    files: Sequence[Path], metadata: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> None:
    """Whether the parts of a model belong together and stand in order: by the ``metadata`` of each
    and the ``names`` of all their tensors. Two quantisations of one model may be cut alike, which
    nothing tells.

    Raises:
        CheckpointError: they do not.
    """
    count, total = len(files), metadata[0].get("split.tensors.count")
    for number, (file, keys) in enumerate(zip(files, metadata, strict=True), 1):
        place, of, told = (keys.get(f"split.{name}") for name in ("no", "count", "tensors.count"))
        if type(place) is not int or type(of) is not int:
            raise _mixed(file, f"is a whole file and not part {number} of {count}")
        if (place + 1, of) != (number, count):
            what = f"is part {place + 1} of {of} by its header, and {number} of {count} by its name"
            raise _mixed(file, what)
        if told != total:
            what = f"is a part of another model: of {told} tensors, and {files[0].name} of {total}"
            raise _mixed(file, what)
    if total not in (None, len(names)):
        raise _mixed(files[0], f"tells of {total} tensors, its parts hold {len(names)}")
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        raise _mixed(files[0], f"has {twice[0]} in two of its parts")


def _mixed(file: Path, what: str) -> CheckpointError:
    step = "take all parts of one model, by the names they were published with"
    return CheckpointError("damaged", f"{file.name} {what}", step)


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
