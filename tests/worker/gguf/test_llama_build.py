"""How llama.cpp comes into a process."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tui.worker.gguf import llama_build

pytest.importorskip("xllamacpp")


def test_openmp_of_torch_serves_where_the_system_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = find_spec("torch")
    if not (torch and torch.origin and [*Path(torch.origin).parent.glob("lib/libgomp*")]):
        pytest.skip("this torch brings no OpenMP")
    tried: list[str] = []

    def lacking_at_first(name: str) -> Any:
        tried.append(name)
        if len(tried) == 1:
            raise ImportError("libgomp.so.1: cannot open shared object file")
        return import_module(name)

    monkeypatch.setattr(llama_build, "import_module", lacking_at_first)
    assert llama_build.module().__name__ == "xllamacpp"
    assert tried == ["xllamacpp", "xllamacpp"]


def test_another_failure_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise ImportError("undefined symbol: llama_decode")

    monkeypatch.setattr(llama_build, "import_module", broken)
    with pytest.raises(ImportError, match="undefined symbol"):
        llama_build.module()
