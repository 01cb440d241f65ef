"""Whatever lies in the place of a file: one line and exit code 2, at once."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tui import cli
from tui.app.style import themes
from tui.host.errors import UserError

PLACES: dict[str, tuple[str, ...]] = {
    "set.toml": ("run", "demo", "--questions", "./set.toml"),
    "set.jsonl": ("questions", "check", "./set.jsonl"),
    "set.txt": ("questions", "check", "./set.txt"),
    "answers.toml": ("run", "pasted:me", "--questions", "smoke", "--pasted", "answers.toml"),
    "model/config.json": ("run", "./model"),
    "model/model.safetensors": ("models", "inspect", "./model"),
    "model.gguf": ("run", "./model.gguf"),
    "set.xlsx": ("questions", "check", "./set.xlsx"),
    "set.yaml": ("questions", "check", "./set.yaml"),
    "report.jinja": ("report", "english", "--template", "./report.jinja"),
    "system.txt": ("run", "demo?system=file:./system.txt", "--questions", "smoke"),
    "adapter/adapter_config.json": ("models", "fit", "./adapter+./model"),
    "adapter/adapter_model.safetensors": ("models", "fit", "./adapter+./model"),
    "old.words.md": ("report", "english", "--no-pictures", "--out", "old.html"),
    "a.duibi": ("sessions", "show", "./a.duibi"),
}
KINDS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "endless": lambda path: path.open("wb").truncate(1 << 40),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_one_line(
    kind: str,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "model"
    model.mkdir()
    if place != "model/config.json":
        (model / "config.json").write_text('{"model_type": "qwen2"}')
    (tmp_path / "adapter").mkdir()
    if place != "adapter/adapter_config.json":
        said = '{"peft_type": "LORA", "r": 8, "lora_alpha": 8}'
        (tmp_path / "adapter/adapter_config.json").write_text(said)
    KINDS[kind](tmp_path / place)
    if place.startswith(("model", "adapter")) and kind == "endless" and "config" not in place:
        pytest.skip("weights may be of any size")
    status = cli.run_command_line([*PLACES[place]])
    told = capsys.readouterr()
    assert (status == 2 and len(told.err.splitlines()) <= 2) or "problem" in told.out, told
    assert "unexpected" not in told.err


@pytest.mark.parametrize("kind", KINDS)
def test_a_theme_that_is_no_file_is_refused(kind: str, tmp_path: Path) -> None:
    KINDS[kind](tmp_path / "mine.toml")
    with pytest.raises(UserError, match=r"mine\.toml"):
        themes.load(tmp_path / "mine.toml")
