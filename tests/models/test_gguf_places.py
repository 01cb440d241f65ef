"""GGUF files where hubs, LM Studio and llama.cpp keep them, by the name a person types."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.consent import never_asked, quiet, yes
from tests.support.file_server import FileServer, serving
from tests.support.hub import FakeHub, use_hub
from tests.support.small_gguf import write_gguf
from tui.cli import run_command_line as run
from tui.host.errors import UserError
from tui.models.column import split_column
from tui.models.discover import discover
from tui.models.reference import parse_reference
from tui.models.resolve import fetch, resolve

MODEL = "acme/Tiny-GGUF"


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "llama"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FileServer]:
    """A hub with one file for each quantisation, and one that is split."""
    whole = write_gguf(tmp_path / "made.gguf").read_bytes()
    first = write_gguf(tmp_path / "Tiny-BF16.gguf", parts=2)
    files = {"README.md": b"# Tiny", "Tiny-Q4_0.gguf": whole, "Tiny-Q8_0.gguf": whole}
    files |= {f"BF16/{part.name}": part.read_bytes() for part in first.parent.glob("Tiny-BF16-*")}
    with serving(FakeHub({MODEL: files})) as server:
        use_hub(server, tmp_path, monkeypatch)
        yield server


def test_one_file_of_a_repository_is_fetched(served: FileServer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds 3 GGUF files") as caught:
        fetch(parse_reference(f"ms:{MODEL}"), yes, quiet)
    assert f"ms:{MODEL}#q4_0, ms:{MODEL}#q8_0" in caught.value.next_step
    file = fetch(parse_reference(f"ms:{MODEL}#q8_0"), yes, quiet)
    assert file.name == "Tiny-Q8_0.gguf"
    assert [path.name for path in file.parent.iterdir()] == ["Tiny-Q8_0.gguf"]
    before = len(served.requests)
    made = resolve(parse_reference(f"ms:{MODEL}#Q8_0@bf16"), never_asked, quiet)
    assert (made.checkpoint, made.label) == (file, "Tiny-Q8_0@bf16")
    assert len(served.requests) == before
    (found,) = (one for one in discover(()) if one.path == file)
    assert found.reference == f"ms:{MODEL}#q8_0"
    assert run(["models", "rm", f"ms:{MODEL}#q8_0", "--yes"]) == 0
    assert not file.exists()


def test_a_split_file_is_fetched_with_all_its_parts(served: FileServer) -> None:
    file = fetch(parse_reference(f"ms:{MODEL}#bf16"), yes, quiet)
    assert file.name == "Tiny-BF16-00001-of-00002.gguf"
    assert len(list(file.parent.iterdir())) == 2
    made = resolve(parse_reference(f"ms:{MODEL}#bf16@bf16"), never_asked, quiet)
    assert (made.checkpoint, made.parameters) == (file, 114_752)


def test_other_programs_files_are_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    studio = tmp_path / ".lmstudio" / "models" / "acme" / "Tiny"
    hub = tmp_path / "hf" / "models--acme--Tiny" / "snapshots" / "abc"
    for folder in (studio, hub, tmp_path / "llama"):
        folder.mkdir(parents=True)
    files = [
        write_gguf(studio / "Tiny-Q4_0.gguf"),
        write_gguf(hub / "Tiny-Q8_0.gguf"),
        write_gguf(tmp_path / "llama" / "Tiny-Q5_1.gguf", parts=2),
    ]
    (studio / "mmproj-Tiny.gguf").write_bytes(b"GGUF")
    found = {one.path: one for one in discover(())}
    assert set(files) == set(found)
    assert {one.state for one in found.values()} == {"complete"}
    for one in found.values():
        assert resolve(parse_reference(f"{one.reference}@bf16"), never_asked, quiet).parameters


def test_what_is_no_chat_model_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_gguf(Path.cwd() / "lora.gguf", metadata={"general.type": "adapter"})
    with pytest.raises(UserError, match="cannot answer: it is an adapter"):
        resolve(parse_reference("./lora.gguf"), never_asked, quiet)
    assert run(["models", "inspect", "./lora.gguf"]) == 2
    assert "an adapter (LoRA)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"arch": "dream"}, "unsupported"),
        ({"metadata": {"tokenizer.ggml.model": "none"}}, "unsupported"),
        ({"metadata": {"llama.block_count": 0}}, "damaged"),
        ({"metadata": {"general.alignment": "x"}}, "damaged"),
        ({"metadata": {"llama.rope.dimension_count": 7}}, "damaged"),
        ({"metadata": {"llama.expert_used_count": 7}}, "damaged"),
        (
            {
                "metadata": {"llama.expert_count": 2**31 - 1, "llama.expert_used_count": 2},
                "more": {"blk.0.ffn_gate_inp.weight": (4, 64)},
            },
            "damaged",
        ),
        (
            {"metadata": {"llama.expert_count": 4}, "more": {"blk.0.ffn_gate_inp.weight": (4, 64)}},
            "damaged",
        ),
    ],
)
def test_the_list_and_a_run_say_the_same_of_a_file(
    tmp_path: Path, changes: dict[str, Any], state: str
) -> None:
    file = write_gguf(Path.cwd() / "odd.gguf", **changes)
    (found,) = discover([file.parent])
    with pytest.raises(UserError) as refused:
        resolve(parse_reference("./odd.gguf"), never_asked, quiet)
    assert (found.state, found.why) == (state, refused.value.message)


def test_a_file_of_any_name_is_used_by_the_name_it_is_listed_by() -> None:
    names = ("q?x=1", "q?temperature=1", "a#b", "a@int8", "two words", "模型", "-dash", "a=b", "😀")
    for name in names:
        write_gguf(Path.cwd() / f"{name}.gguf")
    found = discover([Path.cwd()])
    assert len(found) == len(names)
    for one in found:
        column = split_column(one.reference)
        made = resolve(parse_reference(column.model), never_asked, quiet)
        assert (made.checkpoint, made.label) == (one.path, one.label) and not column.settings


def test_a_file_of_a_hubs_cache_may_be_named_by_its_path(tmp_path: Path) -> None:
    """There it is a link to what is called by its hash, in another folder than its other parts."""
    snapshot, blobs = tmp_path / "snapshots" / "main", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    first = write_gguf(tmp_path / "Tiny-Q8_0.gguf", parts=2)
    for number, part in enumerate(sorted(first.parent.glob("Tiny-Q8_0-*"))):
        part.rename(blobs / f"{number:064x}")
        (snapshot / part.name).symlink_to(f"../../blobs/{number:064x}")
    for part in snapshot.iterdir():
        made = resolve(parse_reference(str(part)), never_asked, quiet)
        assert (made.label, made.checkpoint) == ("Tiny-Q8_0", snapshot / first.name)
        assert made.parameters == 114_752


def test_odd_names_and_links_hide_nothing(tmp_path: Path) -> None:
    here = Path.cwd()
    (here / "loop").symlink_to("loop")
    (here / "gone.gguf").symlink_to("/nowhere/else.gguf")
    (here / "below").mkdir()
    write_gguf(here / "below" / "same.gguf")
    write_gguf(here / "plain.gguf", seed=1).rename(here / "nosuffix")
    (here / "notes").write_text("no model")
    found = {one.reference: one for one in discover([here])}
    assert {"./below/same.gguf", "./nosuffix"} == set(found)
    assert found["./nosuffix"].label == "nosuffix" and found["./nosuffix"].state == "complete"
    for name in ("./gone.gguf", "./loop"):
        with pytest.raises(UserError, match=r"is a link to .*, where nothing is"):
            resolve(parse_reference(name), never_asked, quiet)


def test_a_file_of_another_machine_is_told_of_as_that(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "big.gguf")
    raw = file.read_bytes()
    file.write_bytes(raw[:4] + raw[4:8][::-1] + raw[8:])
    with pytest.raises(UserError, match=r"^big.gguf is big endian: "):
        resolve(parse_reference(str(file)), never_asked, quiet)
