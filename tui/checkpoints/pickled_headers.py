"""Names, dtypes and shapes out of the pickle inside a ``.bin`` file, of which nothing is run.

A pickle is a program that makes objects. Here it can make what `torch.save` writes for named
tensors, and nothing whose making takes more time or memory than its own length: a tuple that
holds itself twice, sixty times over, would be hashed for ever as a name.
"""

import pickle
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.tensor_shape import checked_shape

_MAX_BYTES = 4 << 20
"""Of the list of tensors; that of ten thousand tensors has one or two million."""
_MAX_READ = 16 << 20
"""Bytes that are read of an archive at once: its list of files, in which the size of that list is
only told."""
_STORAGES = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16",
    "BFloat16Storage": "BF16", "LongStorage": "I64", "IntStorage": "I32",
    "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8", "BoolStorage": "BOOL",
}  # fmt: skip
_OPCODES = (
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT, pickle.BININT1, pickle.BININT2),
    *(pickle.LONG1, pickle.BINFLOAT, pickle.BINUNICODE, pickle.SHORT_BINUNICODE),
    *(pickle.BINUNICODE8, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.BINBYTES),
    *(pickle.SHORT_BINBYTES, pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2),
    *(pickle.TUPLE3, pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_DICT),
    *(pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.BINGET, pickle.LONG_BINGET),
    *(pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.REDUCE, pickle.BINPERSID),
)


@dataclass(frozen=True, slots=True)
class PickledTensor:
    """A tensor of a file: its dtype (a word of safetensors), its shape, and the name of the part of
    the archive that holds its values."""

    dtype: str
    shape: tuple[int, ...]
    key: str


def read_pickled(file: BinaryIO, name: str) -> Iterator[tuple[str, PickledTensor, int]]:
    """The tensors of a file of `torch.save`, by name, and how many bytes the part has that holds
    each. ``name`` is what the file is called in errors.

    Raises:
        CheckpointError: it is no such file, holds something else, or asks to run code.
    """
    try:
        archive = zipfile.ZipFile(_Bounded(file))
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise CheckpointError(
            "damaged",
            f"{name} is cut short or not a file that torch.save wrote since 2020",
            "fetch the file again",
        ) from None
    with archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        inner = next((one for one in sizes if re.fullmatch(r"[^/]+/data\.pkl", one)), None)
        if inner is None or sizes[inner] > _MAX_BYTES:
            raise CheckpointError("damaged", f"{name} has no readable list of tensors")
        try:
            with archive.open(inner) as stream:
                loaded = _Unpickler(stream).load()
        except CheckpointError as error:
            raise CheckpointError(error.cause, f"{name} {error.message}", error.next_step) from None
        except Exception as error:  # a pickle's opcodes can raise anything
            raise CheckpointError(
                "damaged", f"{name}: broken list of tensors ({type(error).__name__})"
            ) from None
    if not isinstance(loaded, dict) or not all(
        isinstance(one, PickledTensor) for one in loaded.values()
    ):
        raise CheckpointError("unsupported", f"{name} holds more than named tensors")
    root = inner.rpartition("/")[0]
    for key, stored in loaded.items():
        yield str(key), stored, sizes.get(f"{root}/data/{stored.key}", 0)


class _Bounded:
    """A file of which nobody reads without end at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > _MAX_READ:
            raise ValueError("no size")
        return self._file.read(min(size, _MAX_READ) if size >= 0 else _MAX_READ)


def _rebuild(storage: Any, _offset: Any, shape: Any, *_: Any) -> PickledTensor:
    dtype, key = storage
    return PickledTensor(dtype, checked_shape(shape, tuple), key)


def _new_table() -> dict[str, Any]:
    return {}  # takes no entries: their names would not be looked at


def _return_first(value: Any, *_: Any) -> Any:
    return value


_FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _new_table,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    ("torch._utils", "_rebuild_parameter"): _return_first,
}


_InPython: Any = pickle._Unpickler
"""It keeps what it remembers in a dict; the one in C in an array, as long as the highest number
that the pickle names."""


class _Unpickler(_InPython):  # type: ignore[misc]
    """Reads the layout that `torch.save` writes for a dict of tensors, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _FUNCTIONS:
            return _FUNCTIONS[module, name]
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise CheckpointError(
            "unsupported",
            f"asks to run {module[:40]}.{name[:40]} when opened: refused",
            "use a safetensors copy of this model",
        )

    def persistent_load(self, pid: Any) -> Any:
        _, dtype, key, *_rest = pid
        if not (isinstance(dtype, str) and dtype in _STORAGES.values() and isinstance(key, str)):
            raise ValueError("no storage")
        return dtype, key

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._add([key, value])

    def _set_items(self) -> None:
        self._add(self.pop_mark())

    def _add(self, items: list[Any]) -> None:
        names, table = items[::2], self.stack[-1]
        if not isinstance(table, dict) or not all(isinstance(name, str | int) for name in names):
            raise ValueError("no names")
        table.update(zip(names, items[1::2], strict=True))

    def _leave_state(self) -> None:
        """What torch notes beside a table of tensors is of no use here."""
        self.stack.pop()

    dispatch = {  # noqa: RUF012 (declared so by pickle)
        **{code[0]: _InPython.dispatch[code[0]] for code in _OPCODES},
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
        pickle.BUILD[0]: _leave_state,
    }
