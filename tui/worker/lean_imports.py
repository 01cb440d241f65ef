"""transformers without what no worker uses of it: half of the CPU time that its import takes.

`install` is called before anything imports it. What is changed:

- ``torch._dynamo`` is the front of ``torch.compile``; the compiler's whole code, sympy and
  ``torch.distributed`` come with it. transformers marks functions for the compiler, no more: the
  marks are given to it. Whoever asks for anything else gets the whole.
- transformers is told that this torch has no ``torch.distributed``, which it knows builds of: a
  worker is one process. It is told that there is no scipy, by which it trains detectors.
- transformers reads all its 2,600 files twice for the names in them: once is enough.
"""

import functools
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

_DYNAMO = "torch._dynamo"
_MASKS = f"{_DYNAMO}._trace_wrapped_higher_order_op"
"""What transformers makes attention masks with; it stands alone."""
_MARKS = ("allow_in_graph", "assume_constant_result", "disable", "mark_static_address")
_TRANSFORMERS = "transformers.utils.import_utils"
_READER = "create_import_structure_from_path"
_LEFT_OUT = ("is_scipy_available", "is_torch_distributed_available")


def install() -> None:
    """Imports from now on are as above; what is imported already stays as it is."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds what is changed where it is, with another loader."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.startswith(f"{_DYNAMO}.") and fullname != _MASKS:
            return _find_in_whole(fullname)
        made = {_DYNAMO: _DynamoLoader, _TRANSFORMERS: _TransformersLoader}.get(fullname)
        spec = PathFinder.find_spec(fullname, path) if made else None
        if made and spec and spec.loader:
            spec.loader = made(spec.loader)
        return spec


class _OtherLoader(Loader):
    def __init__(self, usual: Loader) -> None:
        self._usual = usual

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._usual.create_module(spec)

    def __getattr__(self, name: str) -> Any:
        # How the source is found, for tracebacks and `inspect`.
        return getattr(self._usual, name)


class _DynamoLoader(_OtherLoader):
    def exec_module(self, module: ModuleType) -> None:
        """Give ``module`` the marks only; any other name executes the whole in it."""

        def load(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            self.complete(module)
            return getattr(module, name)

        module.__dict__.update(dict.fromkeys(_MARKS, _unmarked), __getattr__=load)

    def complete(self, module: ModuleType) -> None:
        """Execute the whole in ``module``, where that was not done yet."""
        if module.__dict__.pop("__getattr__", None) is not None:
            for name in _MARKS:
                del module.__dict__[name]
            self._usual.exec_module(module)


def _unmarked(function: Any = None, *_: Any, **__: Any) -> Any:
    """The decorator, with or without arguments, that changes nothing."""
    return _unmarked if function is None else function


def _find_in_whole(name: str) -> ModuleSpec | None:
    """A part of ``torch._dynamo``, which needs the whole, where that has brought it along."""
    package = sys.modules[_DYNAMO]
    loader = package.__spec__.loader if package.__spec__ else None
    if isinstance(loader, _DynamoLoader):
        loader.complete(package)
    part = sys.modules.get(name)
    return ModuleSpec(name, _KeptLoader(part)) if part else None


class _KeptLoader(Loader):
    """Of a module that is there already."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class _TransformersLoader(_OtherLoader):
    def exec_module(self, module: ModuleType) -> None:
        """Change what it says of this machine, and read its files once."""
        self._usual.exec_module(module)
        for name in _LEFT_OUT:
            setattr(module, name, _no)
        # Another version may read its files in another way.
        if reader := getattr(module, _READER, None):
            setattr(module, _READER, _by_folder(reader))


def _no(*_: Any) -> bool:
    return False


def _by_folder(read: Callable[[Path], Any]) -> Callable[[str | Path], Any]:
    """``read``, called once for each folder; a file stands for the folder that it is in."""
    once = functools.cache(read)

    def names(path: str | Path) -> Any:
        given = Path(path)
        return once(given.parent if given.suffix == ".py" else given)

    return names
