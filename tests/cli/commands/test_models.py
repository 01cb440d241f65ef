import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.support import tiny
from benchmarks.support.checkpoints import write_zero_llama
from benchmarks.support.demo import link_demo
from tests.support.folders import empty_place
from tests.support.small_gguf import write_gguf
from tui.checkpoints import build_cache, gguf_cache, quantised_cache
from tui.checkpoints.gguf_parts import all_parts
from tui.cli import run_command_line as run
from tui.cli.support import checkpoint_details, download_progress
from tui.host.paths import cache_dir
from tui.models import demo
from tui.models.conversion import kept_sizes
from tui.models.download_offer import DownloadOffer
from tui.models.preview import PromptPreview
from tui.text import translation


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return empty_place(tmp_path, monkeypatch)


def snapshot(tmp_path: Path) -> Path:
    return write_zero_llama(tmp_path / "ms" / "models" / "acme--Tiny" / "snapshots" / "master")


def test_list_shows_what_is_here_and_what_is_wrong(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_zero_llama(here / "good")
    (write_zero_llama(here / "bad\x1b[31m") / "model.safetensors").unlink()
    assert run(["models", "list"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    good, bad = (next(li for li in out.splitlines() if word in li) for word in ("good", "bad"))
    assert good.startswith("./good") and good.endswith("complete")
    assert "partial: " in bad
    assert run(["models", "list", "--json"]) == 0
    rows = {row["reference"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["./good"]["fits"]["bf16"] is True
    assert rows["./good"]["needs"]["fp32"] > 240e6


def test_list_and_inspect_say_a_state_whole_in_chinese(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd: dict[str, dict[str, object]] = {
        "bnb": {"quantization_config": {"quant_method": "bitsandbytes"}},
        "gemv": {"quantization_config": {"quant_method": "awq", "version": "gemv"}},
        "t5": {"model_type": "t5", "is_encoder_decoder": True},
        "odd": {"model_type": "qwen9"},
        "vl": {"model_type": "qwen3_vl", "vision_config": {}},
    }
    for name, changes in odd.items():
        write_zero_llama(here / name, **changes)
    (write_zero_llama(here / "gone") / "model.safetensors").unlink()
    (write_zero_llama(here / "cut") / "model.safetensors").write_bytes(b"x")
    (write_zero_llama(here / "notok") / "tokenizer.json").unlink()
    (here / "lora").mkdir()
    lora = {"peft_type": "LORA", "base_model_name_or_path": "acme/Nothing-7B", "r": 4}
    (here / "lora" / "adapter_config.json").write_text(json.dumps(lora))
    (here / "lora" / "adapter_model.safetensors").write_bytes(b"")
    monkeypatch.setenv("DUIBI_LANG", "zh")
    try:
        assert run(["models", "list"]) == 0
        said = capsys.readouterr().out
        for name in odd:
            run(["models", "inspect", f"./{name}"])
        said += capsys.readouterr().out
    finally:
        translation.speak("en")
    mixed = r"(partial|damaged|unsupported|complete)[:：]|[a-z]+,? [a-z]{2,} [a-z]+"
    assert "不支持：" in said and "不完整：" in said
    assert not re.findall(mixed, said)
    assert " 0 B" not in said, "a size that is not known is not told as one of nothing"


def test_list_available_is_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "list", "--available", "--json"]) == 0
    names = [row["model"] for row in json.loads(capsys.readouterr().out)]
    assert "ms:qwen/Qwen-7B-Chat" in names
    assert run(["models", "list", "--available"]) == 0
    assert "ms:qwen/Qwen-7B-Chat" in capsys.readouterr().out


def test_get_prints_where_a_model_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = snapshot(tmp_path)
    assert run(["models", "get", "ms:acme/Tiny"]) == 0
    assert capsys.readouterr().out == f"{folder}\n"
    assert run(["models", "get", "acme/Tiny"]) == 2
    assert "did you mean ms:acme/Tiny?" in capsys.readouterr().err


def test_inspect_says_whether_it_can_be_loaded(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write_llama(here / "good")
    assert run(["models", "inspect", "./good"]) == 0
    shown = capsys.readouterr().out
    assert "can be loaded" in shown
    assert run(["models", "inspect", "./good", "--json"]) == 0
    ids = json.loads(capsys.readouterr().out)["prompt_ids"]
    assert ids and str(ids) in shown
    (here / "good" / "tokenizer.json").write_text("{}")
    assert run(["models", "inspect", "./good"]) == 2
    assert "tokenizer" in capsys.readouterr().out
    (here / "good" / "model.safetensors").unlink()
    assert run(["models", "inspect", "./good", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["problems"]
    assert run(["models", "inspect", "./nowhere"]) == 2


def test_of_a_refused_folder_what_its_files_say_is_told_and_no_zeros(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny.write_llama(here / "refused")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"is_encoder_decoder": True}))
    assert run(["models", "inspect", "./refused"]) == 2
    shown = capsys.readouterr().out
    assert "model_type llama" in shown and "tokenizer.json" in shown and "4,096" in shown
    assert run(["models", "inspect", "./refused", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["parameters"] > 0 and told["family"] is told["layers"] is None


def test_inspect_says_what_is_known_of_a_gguf_file(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "inspect", "demo"]) == 2
    assert "not fetched yet" in capsys.readouterr().out
    link_demo(cache_dir())
    assert run(["models", "inspect", "demo"]) == 0
    shown = capsys.readouterr().out
    assert "134,515,008" in shown and "can be loaded" in shown
    assert run(["models", "inspect", "demo@int8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dtype"] == "Q4_1"
    small = write_gguf(here / "small.gguf")
    assert run(["models", "inspect", "./small.gguf"]) == 0
    shown = capsys.readouterr().out
    assert "Q4_0 3, Q8_0 3" in shown and "114,752" in shown and "256 tokens" in shown
    (here / "y.gguf").write_bytes(small.read_bytes()[:2000])
    assert run(["models", "inspect", "./y.gguf"]) == 2
    assert "y.gguf is not a whole GGUF file" in capsys.readouterr().out
    (here / "x.gguf").write_bytes(b"GGML" * 9)
    assert run(["models", "inspect", "./x.gguf"]) == 2
    assert "is not a GGUF file" in capsys.readouterr().out


def test_what_the_header_of_a_gguf_file_tells_is_printed_before_its_prompt_is_made(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = []

    def preview(path: Path) -> PromptPreview:
        before.append(capsys.readouterr().out)
        return PromptPreview("Q: 你好", [4, 5], ["it may be a guess"])

    monkeypatch.setattr(checkpoint_details, "preview_prompt", preview)
    monkeypatch.setattr(checkpoint_details, "is_installed", lambda: True)
    write_gguf(here / "small.gguf")
    assert run(["models", "inspect", "./small.gguf"]) == 0
    assert "114,752" in before[0] and "template" not in before[0]
    after = capsys.readouterr().out.splitlines()
    assert after == [
        "template   'Q: 你好'",
        "prompt     for '你好': [4, 5]",
        "remark     it may be a guess",
        "verdict    can be loaded",
    ]


def in_a_process(*args: str) -> "subprocess.CompletedProcess[str]":
    """A command in a process of its own: what a budget of memory is left counts without what
    earlier tests of this process hold."""
    command = [sys.executable, "-m", "tui", "models", "fit", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_fit_compares_with_what_is_free(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_zero_llama(here / "good")
    monkeypatch.setenv("DUIBI_MEMORY_LIMIT", "2G")
    done = in_a_process("demo", "./good")
    assert done.returncode == 0 and "too much" not in done.stdout
    done = in_a_process("demo", "ms:qwen/Qwen-7B-Chat", "--json")
    assert done.returncode == 4
    told = json.loads(done.stdout)
    assert told["limit"] == 2 << 30
    assert [row["fits"] for row in told["models"]] == [True, False]
    assert told["models"][1]["needs_in"]["fp32"] > 30e9
    assert "ms:qwen/Qwen-7B-Chat needs" in told["refused"]
    done = in_a_process("ms:acme/Unknown")
    assert done.returncode == 2 and "models get ms:acme/Unknown" in done.stderr


def test_fit_plans_the_others_beside_one_that_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_zero_llama(here / "good")
    write_zero_llama(here / "odd", model_type="qwen9")
    assert run(["models", "fit", "./odd", "./good", "--context", "100000"]) == 2
    told = capsys.readouterr()
    assert "./good" in told.out and "./odd" not in told.out
    assert "duibi: ./odd: " in told.err and "no class for the type qwen9" in told.err
    assert "./good: at its limit of " in told.err and "at 100000 tokens" not in told.err
    assert run(["models", "fit", "./odd", "./nowhere", "--json"]) == 2
    unusable = json.loads(capsys.readouterr().out)["unusable"]
    assert [one["model"] for one in unusable] == ["./odd", "./nowhere"]


def test_fit_tells_who_is_held_together_and_who_takes_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DUIBI_MEMORY_LIMIT", "2700M")
    done = in_a_process("demo@bf16", "demo@fp32", "demo@fp32")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[-2].startswith("turn 1: demo@bf16 + demo@fp32: ")
    assert lines[-1].startswith("turn 2: demo@fp32: ")
    done = in_a_process("demo@bf16", "demo@fp32", "demo@fp32", "--json")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert told["turns"] == [["demo@bf16", "demo@fp32"], ["demo@fp32"]]
    assert told["room"] < told["limit"]
    monkeypatch.setenv("DUIBI_MEMORY_LIMIT", "300M")
    done = in_a_process("demo@fp32")
    assert done.returncode == 4
    assert "needs 1." in done.stderr and "can be used (DUIBI_MEMORY_LIMIT)" in done.stderr


def test_rm_frees_a_cache_and_nothing_of_a_person(
    tmp_path: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = snapshot(tmp_path)
    assert run(["models", "rm", "ms:acme/Tiny"]) == 2
    assert folder.exists() and "nothing was removed" in capsys.readouterr().err
    assert run(["models", "rm", "ms:acme/Tiny", "--yes"]) == 0
    assert list((tmp_path / "ms" / "models").iterdir()) == []
    assert "freed" in capsys.readouterr().err
    assert run(["models", "rm", "ms:acme/Tiny", "--yes"]) == 2
    write_zero_llama(here / "mine")
    assert run(["models", "rm", "./mine", "--yes"]) == 2
    assert (here / "mine" / "config.json").exists()


def test_rm_of_a_path_in_a_cache_stays_in_it(tmp_path: Path, here: Path) -> None:
    hf = tmp_path / "hf" / "models--acme--Linked"
    outside = write_zero_llama(tmp_path / "outside")
    (hf / "snapshots").mkdir(parents=True)
    (hf / "snapshots" / "abc").symlink_to(outside)
    assert run(["models", "rm", str(hf / "snapshots" / "abc"), "--yes"]) == 2
    assert (outside / "config.json").exists()
    (hf / "snapshots" / "abc").unlink()
    write_zero_llama(hf / "snapshots" / "abc")
    assert run(["models", "rm", str(hf / "snapshots" / "abc"), "--yes"]) == 0
    assert not hf.exists() and (tmp_path / "hf").exists()
    assert run(["models", "rm", str(tmp_path / "hf"), "--yes"]) == 2
    assert (tmp_path / "hf").exists()


def test_rm_of_the_demo_takes_its_conversion_along(capsys: pytest.CaptureFixture[str]) -> None:
    link_demo(cache_dir())
    conversion = gguf_cache.entry_folder(demo.path(), "words")
    conversion.mkdir(parents=True)
    assert run(["models", "rm", "demo", "--yes"]) == 0
    assert not demo.is_present() and not conversion.exists()


def test_rm_of_an_empty_folder_says_that_nothing_is_here(
    capsys: pytest.CaptureFixture[str],
) -> None:
    demo.path().parent.mkdir(parents=True)
    assert run(["models", "rm", "demo", "--yes"]) == 2
    assert "nothing of demo is here" in capsys.readouterr().err


def test_rm_of_a_file_of_ones_own_says_whose_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_gguf(tmp_path / "tiny.gguf")
    assert run(["models", "rm", str(file), "--yes"]) == 2
    assert "but a file of yours" in capsys.readouterr().err
    assert file.exists()


@pytest.mark.parametrize("root", [".", "models", "hub", "hub/models", "models/acme--Tiny/.."])
def test_rm_takes_no_folder_of_several_models(
    root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = snapshot(tmp_path)
    old = write_zero_llama(tmp_path / "ms" / "hub" / "models" / "acme" / "Old")
    assert run(["models", "rm", str(tmp_path / "ms" / root), "--yes"]) == 2
    assert "no model of a cache" in capsys.readouterr().err
    for reference in ("ms:hub/models", "ms:models/acme--Tiny"):
        assert run(["models", "rm", reference, "--yes"]) == 2
    assert folder.exists() and old.exists()
    assert run(["models", "rm", "ms:acme/Old", "--yes"]) == 0
    assert folder.exists() and not old.exists() and old.parent.exists()


def test_rm_takes_no_conversion_of_a_file_by_another_name(here: Path) -> None:
    def file(name: str) -> Path:
        path = here / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"GGUF" + os.urandom(64))
        gguf_cache.ensure(gguf_cache.entry_folder(path, "bf16"), path, lambda folder: {})
        return gguf_cache.entry_folder(path, "bf16")

    mine, longer, twin = file("a.gguf"), file("a-b.gguf"), file("other/a.gguf")
    (here / "a.gguf").write_bytes(b"GGUF" + os.urandom(64))  # changed since it was converted
    assert run(["models", "rm", "./a.gguf", "--yes"]) == 0
    assert not mine.exists() and longer.exists() and twin.exists()


def test_rm_frees_what_the_list_says_is_kept_of_a_gguf_file(here: Path) -> None:
    parts = all_parts(write_gguf(here / "tiny.gguf", parts=2))
    for form in ("bf16", "fp32"):
        gguf_cache.ensure(gguf_cache.entry_folder(parts[0], form), parts[0], lambda folder: {})
    assert set(kept_sizes(parts[0])) == {"bf16", "fp32"}
    assert run(["models", "rm", f"{parts[1]}@bf16", "--yes"]) == 0
    assert set(kept_sizes(parts[0])) == {"fp32"}
    assert run(["models", "rm", str(parts[1]), "--yes"]) == 0
    assert kept_sizes(parts[0]) == {} and all(part.exists() for part in parts)


def test_rm_of_one_format_leaves_the_model(tmp_path: Path, here: Path) -> None:
    folder, mine = snapshot(tmp_path), write_zero_llama(here / "mine")
    kept = {}
    for source in (folder, mine):
        for dtype in ("int8", "int4"):
            place = quantised_cache.root() / f"{source.name}-{dtype}"
            said = {"source": str(source), "dtype": dtype}
            build_cache.ensure(place, lambda _: said)  # noqa: B023 - called at once
            kept[source, dtype] = place
    assert run(["models", "rm", "ms:acme/Tiny@int4", "--yes"]) == 0
    assert run(["models", "rm", "./mine@int8", "--yes"]) == 0
    assert {key for key, place in kept.items() if place.exists()} == {
        (folder, "int8"),
        (mine, "int4"),
    }
    for reference in ("ms:acme/Tiny@int4", "ms:acme/Tiny@bf16", "./mine@fp32"):
        assert run(["models", "rm", reference, "--yes"]) == 2
    assert folder.exists() and mine.exists()


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_with_speed_and_time_left() -> None:
    screen, now = Screen(), [0.0]
    with download_progress.ProgressLine(screen, lambda: now[0]) as progress:
        for second in range(5):
            now[0] = float(second)
            progress("fetching", second * 20_000_000, 100_000_000)
    last = screen.getvalue().split("\r")[-1]
    assert "80 MB of 100 MB" in last and "20 MB/s" in last and "1s left" in last
    assert screen.getvalue().count("\n") == 1 and last.endswith("\n")


def test_progress_never_wraps() -> None:
    screen = Screen()
    with download_progress.ProgressLine(screen) as progress:
        for total in (0, 100, 10**12):
            progress(f"fetching owner/{'long-name-' * total_digits(total)}", total // 2, total)
    assert max(map(len, screen.getvalue().replace("\n", "\r").split("\r"))) < 80


def total_digits(total: int) -> int:
    return len(str(total))


def test_progress_into_a_file_says_each_stage_once() -> None:
    file = io.StringIO()
    with download_progress.ProgressLine(file) as progress:
        for done in range(100):
            progress("fetching", done, 100)
        progress("unpacking", 0, 100)
    assert file.getvalue() == "fetching\nunpacking\n"


@pytest.mark.parametrize(
    ("typed", "default", "wanted"),
    [("y\n", False, True), ("\n", False, False), ("\n", True, True), ("n\n", True, False),
     ("是\n", False, True), ("what\n", True, False)],
)  # fmt: skip
def test_a_person_is_asked_on_a_terminal(
    typed: str, default: bool, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    master, slave = pty.openpty()
    os.write(master, typed.encode())
    with os.fdopen(slave, "r", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        monkeypatch.setattr(sys, "stderr", Screen())
        assert download_progress.ask_yes_no("Really?", default) is wanted
    os.close(master)


def test_where_nobody_can_answer_nothing_is_fetched_unless_agreed_before(
    capsys: pytest.CaptureFixture[str],
) -> None:
    offer = DownloadOffer("acme/Tiny", "ModelScope", 3, 93_000_000, 0, Path("/there"), 10**11)
    for is_agreed in (False, True):
        assert download_progress.ask_consent(offer, is_agreed) is is_agreed
        told = capsys.readouterr().err
        assert "3 files, 93 MB, into /there (100 GB free)" in told
    assert not download_progress.ask_yes_no("Remove?")
