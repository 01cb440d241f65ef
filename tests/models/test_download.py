import io
import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.support.checkpoints import LLAMA
from tests.support.consent import quiet, yes
from tests.support.file_server import FileServer, serving
from tests.support.hub import MODEL, WEIGHTS, FakeHub, use_hub
from tui.cli import run_command_line as run
from tui.host.errors import UserError
from tui.models import arrival, download, hub
from tui.models.caches import modelscope_folder
from tui.models.download import HubFile, needed_files
from tui.models.download_offer import FileCounts


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[FakeHub, FileServer]]:
    made = FakeHub()
    with serving(made) as server:
        use_hub(server, tmp_path, monkeypatch)
        yield made, server


def fetched(server: FileServer) -> list[str]:
    marker = "FilePath="
    return [path.partition(marker)[2] for path, _ in server.requests if marker in path]


def test_a_model_comes_whole_and_without_what_is_not_needed(
    served: tuple[FakeHub, FileServer], tmp_path: Path
) -> None:
    asked: list[str] = []
    heard: list[tuple[str, int, int]] = []
    each: list[FileCounts] = []
    folder = download.fetch_model(
        MODEL,
        lambda text: (asked.append(str(text)), True)[1],
        lambda *step: heard.append(step),
        each.append,
    )
    assert folder == tmp_path / "ms" / "models" / "acme--Tiny-Chat" / "snapshots" / "master"
    assert sorted(p.name for p in folder.iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json",
    ]  # fmt: skip
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    total = sum(len(served[0].files[p.name]) for p in folder.iterdir())
    assert heard[-1][1:] == (total, total)
    assert each[-1]["model.safetensors"] == (len(WEIGHTS), len(WEIGHTS))
    told = arrival.recall(folder)
    assert told is not None and told["bytes"] == total and told["seconds"] >= 0
    assert arrival.recall(tmp_path) is None
    assert "3 files" in asked[0] and str(folder) in asked[0] and "free" in asked[0]
    assert set(fetched(served[1])) == {"config.json", "model.safetensors", "tokenizer.json"}


def test_killed_in_mid_file_it_goes_on_where_it_was(served: tuple[FakeHub, FileServer]) -> None:
    served[0].stall_after = 500_000
    stop = threading.Event()

    def progress(stage: str, done: int, total: int) -> None:
        if done > 100_000:
            stop.set()

    threading.Timer(20, stop.set).start()
    with pytest.raises(UserError, match="stopped") as caught:
        download.fetch_model(MODEL, yes, progress, stop=stop)
    assert caught.value.exit_code == 130
    served[0].stall_after = None
    asked: list[str] = []
    folder = download.fetch_model(MODEL, lambda text: (asked.append(str(text)), True)[1], quiet)
    assert "are here already" in asked[0]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    last = [r for path, r in served[1].requests if path.endswith("FilePath=model.safetensors")][-1]
    assert last.startswith("bytes=") and last != "bytes=0-"


def test_it_ends_with_a_parent_that_is_killed(served: tuple[FakeHub, FileServer]) -> None:
    served[0].stall_after = 500_000
    code = (
        "import sys; from tui.models import download; "
        f"download.fetch_model({MODEL!r}, lambda t: True, lambda s, d, t: print(d, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        while int(parent.stdout.readline()) < 100_000:
            pass
        (child,) = psutil.Process(parent.pid).children()
        parent.kill()
    child.wait(60)
    served[0].stall_after = None


def test_a_disk_that_becomes_full_is_told_and_can_be_gone_on_from(
    served: tuple[FakeHub, FileServer],
) -> None:
    folder = modelscope_folder(MODEL)
    folder.mkdir(parents=True)
    (folder / "model.safetensors.incomplete").symlink_to("/dev/full")
    with pytest.raises(UserError, match="disk became full") as caught:
        download.fetch_model(MODEL, yes, quiet)
    assert "duibi models get" in caught.value.next_step
    assert (folder / "config.json").is_file()
    (folder / "model.safetensors.incomplete").unlink()
    assert (download.fetch_model(MODEL, yes, quiet) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_line_that_drops_is_taken_up_again(served: tuple[FakeHub, FileServer]) -> None:
    served[0].cuts = [200_000]
    folder = download.fetch_model(MODEL, yes, quiet)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_content_with_another_checksum_never_gets_its_name(
    served: tuple[FakeHub, FileServer], tmp_path: Path
) -> None:
    served[0].listed["model.safetensors"] = {"Sha256": "0" * 64}
    with pytest.raises(UserError, match="wrong content") as caught:
        download.fetch_model(MODEL, yes, quiet)
    assert caught.value.exit_code == 3
    assert not list(tmp_path.rglob("model.safetensors"))


@pytest.mark.parametrize(("status", "says", "code"), [(404, "no model", 2), (401, "TOKEN", 3)])
def test_refusals_say_what_to_do(
    served: tuple[FakeHub, FileServer], status: int, says: str, code: int
) -> None:
    served[0].status = status
    with pytest.raises(UserError) as caught:
        download.fetch_model(MODEL, yes, quiet)
    assert says in f"{caught.value.message} {caught.value.next_step}"
    assert caught.value.exit_code == code


def test_no_network_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(UserError, match="cannot be reached") as caught:
            download.fetch_model(MODEL, yes, quiet)
    assert caught.value.exit_code == 3


def test_names_and_links_that_lead_out_of_the_folder_are_not_taken(
    served: tuple[FakeHub, FileServer], tmp_path: Path
) -> None:
    evil = [
        "../../evil.json", "/tmp/evil-duibi.json", "..", "a/config.json", ".hidden.json",
        "tokenizer.json\n", "~/config.json",
    ]  # fmt: skip
    served[0].extra = [{"Path": name, "Type": "blob", "Size": 4} for name in evil]
    link = {"Path": "generation_config.json", "Type": "symlink", "Size": 4, "Target": "/etc/x"}
    served[0].extra.append(link)
    served[0].files.update(dict.fromkeys([*evil, "generation_config.json"], b"evil"))
    folder = download.fetch_model(MODEL, yes, quiet)
    written = {p.name for p in folder.iterdir()} - {"generation_config.json"}
    assert sorted(written) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert all(not path.is_symlink() for path in folder.iterdir())
    assert {path.parent for path in tmp_path.rglob("generation_config.json")} <= {folder}
    assert not list(tmp_path.rglob("*evil*"))
    assert not any("evil" in name or "/" in name for name in fetched(served[1]))


def test_what_changed_meanwhile_there_or_here_at_the_same_size_is_fetched_anew(
    served: tuple[FakeHub, FileServer],
) -> None:
    folder = download.fetch_model(MODEL, yes, quiet)
    served[0].files["tokenizer.json"] = b'{"v": 2}'
    assert download.fetch_model(MODEL, yes, quiet) == folder
    assert (folder / "tokenizer.json").read_bytes() == b'{"v": 2}'
    (folder / "tokenizer.json").write_bytes(b'{"v": 3}')
    download.fetch_model(MODEL, yes, quiet)
    assert (folder / "tokenizer.json").read_bytes() == b'{"v": 2}'
    assert fetched(served[1]).count("model.safetensors") == 1


def test_weights_that_changed_between_two_tries_are_not_mixed(
    served: tuple[FakeHub, FileServer],
) -> None:
    folder = modelscope_folder(MODEL)
    folder.mkdir(parents=True)
    (folder / "model.safetensors.incomplete").write_bytes(b"old" * 1000)
    assert (download.fetch_model(MODEL, yes, quiet) / "model.safetensors").read_bytes() == WEIGHTS


def test_an_unsupported_model_is_told_before_its_weights_are_fetched(
    served: tuple[FakeHub, FileServer],
) -> None:
    served[0].files["config.json"] = json.dumps({**LLAMA, "vision_config": {"x": 1}}).encode()
    with pytest.raises(UserError, match="images"):
        download.fetch_model(MODEL, lambda text: pytest.fail("asked"), quiet)
    assert fetched(served[1]) == ["config.json"]


def test_without_consent_nothing_is_kept(
    served: tuple[FakeHub, FileServer], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="not downloaded"):
        download.fetch_model(MODEL, lambda text: False, quiet)
    assert not (tmp_path / "ms" / "models").exists()


def test_no_space_is_told_before_the_weights_are_fetched(
    served: tuple[FakeHub, FileServer],
) -> None:
    served[0].extra = [{"Path": "pytorch_model.bin", "Type": "blob", "Size": 1 << 39}]
    served[0].files.pop("model.safetensors")
    with pytest.raises(UserError, match="no space") as caught:
        download.fetch_model(MODEL, yes, quiet)
    assert "MODELSCOPE_CACHE" in caught.value.next_step
    assert fetched(served[1]) == ["config.json"]


def test_what_is_missing_afterwards_is_told(tmp_path: Path) -> None:
    plan = download.DownloadPlan(MODEL, tmp_path, (HubFile("config.json", 5),), 0)
    with pytest.raises(UserError, match="missing"):
        download.verify_files(plan)
    (tmp_path / "config.json").write_text("1234")
    with pytest.raises(UserError, match="has 4 of 5"):
        download.verify_files(plan)
    (tmp_path / "config.json").write_text("12345")
    download.verify_files(plan)
    (tmp_path / "config.json.incomplete").write_text("")
    with pytest.raises(UserError, match="not complete"):
        download.verify_files(plan)


def test_one_set_of_weights_is_chosen() -> None:
    def names(*paths: str) -> list[str]:
        return sorted(file.path for file in needed_files(HubFile(path, 1) for path in paths))

    both = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    index = "model.safetensors.index.json"
    old = ("pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json")
    assert names(*both, index, *old, "consolidated.safetensors") == sorted((*both, index))
    assert names(*old, "training_args.bin", "x.gguf") == sorted(old)
    lone = ("gptq_model-4bit-128g.safetensors", "quantize_config.json")
    assert names(*lone) == sorted(lone)
    assert names(lone[0], "Qwen.Q4_K_M.gguf") == []
    assert names("vae.safetensors", "unet.safetensors") == names("adapter_model.safetensors") == []
    small = ("config.json", "qwen.tiktoken", "tokenizer.model", "merges.txt", "LICENSE")
    assert names(*small, "tokenization_qwen.py", "assets", "a.png") == sorted(small)


def test_a_hub_s_text_cannot_steer_the_terminal() -> None:
    error = hub.error_from_cause(MODEL, "network", "\x1b[2J\x9b31mred\nnext")
    assert error.message.isprintable()


class _Runs:
    """What a hostile checkpoint holds: a pickle that makes a folder when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_nothing_that_the_hub_sends_is_run(
    served: tuple[FakeHub, FileServer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub, canary = served[0], tmp_path / "canary"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": _Runs(canary)}))
    code = f"import os; os.mkdir({str(canary)!r})".encode()
    config = {**LLAMA, "auto_map": {"AutoModelForCausalLM": "modeling_evil.Evil"}}
    del hub.files["model.safetensors"]
    hub.files.update(
        {
            "pytorch_model.bin": buffer.getvalue(),
            "modeling_evil.py": code,
            "__init__.py": code,
            "sitecustomize.py": code,
            "config.json": json.dumps(config).encode(),
            "configuration.json": b'{"framework": "pytorch", "plugins": ["evil"]}',
        }
    )
    assert run(["models", "get", f"ms:{MODEL}", "--yes"]) == 2
    assert "refused" in capsys.readouterr().err
    assert run(["models", "list"]) == 0
    assert run(["models", "inspect", f"ms:{MODEL}"]) == 2
    assert not canary.exists()
    assert not list(modelscope_folder(MODEL).glob("*.py"))


def test_nothing_is_fetched_unasked_where_nobody_can_answer(
    served: tuple[FakeHub, FileServer], capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("run", "compare", "bench", "models get"):
        assert run([*command.split(), f"ms:{MODEL}"]) == 2
        assert "--yes where nobody can be asked" in capsys.readouterr().err
        assert not modelscope_folder(MODEL).exists()
    assert run(["bench", "demo"]) == 2
    assert "--yes where nobody can be asked" in capsys.readouterr().err
    assert run(["models", "get", f"ms:{MODEL}", "--yes"]) == 0
    assert (modelscope_folder(MODEL) / "model.safetensors").read_bytes() == WEIGHTS
