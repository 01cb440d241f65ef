"""How llama.cpp comes into a process."""

import json
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import run_with
from tests.support.small_gguf import write_gguf
from tui.checkpoints.errors import CheckpointError
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
    with pytest.raises(CheckpointError, match="undefined symbol") as caught:
        llama_build.module()
    assert "--force-reinstall xllamacpp" in caught.value.next_step


def a_build(folder: Path, source: str) -> Path:
    """A folder as `pip install --target` fills it."""
    (folder / "xllamacpp").mkdir(parents=True)
    (folder / "xllamacpp" / "__init__.py").write_text(source)
    told = folder / "xllamacpp-2019.1.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: xllamacpp\nVersion: 2019.1\n")
    return folder


OTHER_MACHINE = b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x03\x00\x28\x00" + bytes(4096)
STATES: dict[str, tuple[str | None, str]] = {
    "missing": (None, "which holds no xllamacpp"),
    "no module of this machine": (
        f"import ctypes, pathlib\nfile = pathlib.Path(__file__).with_name('x.so')\n"
        f"file.write_bytes({OTHER_MACHINE!r})\n"
        "try:\n    ctypes.CDLL(str(file))\n"
        "except OSError as error:\n    raise ImportError(str(error)) from None\n",
        "cannot be used: ",
    ),
    "another version": (
        "class _Empty:\n    __slots__ = ('model',)\n"
        "def CommonParams():\n    made = _Empty()\n    made.model = type('M', (), {})()\n"
        "    return made\n"
        "def get_device_info():\n    return []\n"
        "def get_system_info():\n    return 'AVX2 = 1'\n",
        "is of version 2019.1, which does not fit (",
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_a_named_build_that_is_of_no_use_is_one_sentence(state: str, tmp_path: Path) -> None:
    source, says = STATES[state]
    place = tmp_path / "build"
    if source is not None:
        a_build(place, source)
    file = write_gguf(tmp_path / "tiny.gguf")
    line = ["run", str(file), "--questions", "smoke", "--max-new-tokens", "2"]
    (status,), (said,), err = run_with({"DUIBI_LLAMA_CPP": str(place)}, tmp_path, line)
    assert status in (1, 2) and "Traceback" not in err, err
    told = said + err
    assert says in told and f"{place}" in told and "unset DUIBI_LLAMA_CPP" in told, told


def test_a_named_build_is_used_and_told_of(tmp_path: Path) -> None:
    import xllamacpp

    (tmp_path / "xllamacpp").symlink_to(Path(xllamacpp.__file__).parent)
    _, (said,), _ = run_with({"DUIBI_LLAMA_CPP": str(tmp_path)}, tmp_path, ["doctor", "--json"])
    told = {one["name"]: one for one in json.loads(said)["checks"]}["llama.cpp"]
    assert f" in {tmp_path}: kernels for " in told["seen"], told
