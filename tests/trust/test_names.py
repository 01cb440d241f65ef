"""Aliases and paths of a cloned folder's file lead to nothing outside."""

from pathlib import Path

import pytest

from benchmarks.support.fault_server import (
    FaultServer,
    good_answer,
)
from tests.support.cloned_folder import agree_to_all, says
from tui import settings
from tui.cli import run_command_line as run
from tui.host import paths
from tui.host.errors import UserError


@pytest.mark.parametrize("name", ["demo", "demo@int8", "openai:gpt-4o", "ms:a/b", "./x", "m.gguf"])
def test_an_alias_shadows_no_name_that_means_a_model_by_itself(name: str, cloned: Path) -> None:
    says(cloned, f'[aliases]\n"{name}" = "./elsewhere"\n')
    found = settings.load()
    assert found.aliases == {} and "means a model already" in str(found.folder_file)
    says(paths.config_dir(), f'[aliases]\n"{name}" = "./elsewhere"\n')
    with pytest.raises(UserError, match="means a model already"):
        settings.load()


def test_an_alias_of_the_folder_leads_to_nothing_outside_before_an_agreement(
    cloned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cloned / "link").symlink_to(tmp_path)
    (paths.config_dir() / "duibi.toml").write_text('[aliases]\nmine = "ms:me/mine"\n')
    with FaultServer(good_answer("x")) as server:
        outside = {
            "service": "openai:gpt-4o",
            "server": "ollama:qwen3",
            "kept_by_ollama": "ollama-file:qwen3",
            "page": "https://huggingface.co/a/b#m",
            "other_hub": "hf:a/b@int8",
            "address": f"{server.url}#m",
            "folder": "/etc/model",
            "up": "../model",
            "home": "~/model",
            "link": "./link/model",
            "file": f"{tmp_path}/m.gguf",
            "session": "session:last#demo",
            "mine": "./other",
            "adapter": "./adapter+/etc/model",
            "adapter_at_home": "./adapter+~/model",
        }
        here = {"small": "./model", "hub": "ms:a/b", "d": "demo@int8", "f": "models/m.gguf"}
        here |= {"lora": "./adapter+./model", "lora_of_hub": "./adapter+ms:a/b"}
        lines = "".join(f'{k} = "{v}"\n' for k, v in (outside | here).items())
        says(cloned, f"[aliases]\n{lines}")
        found = settings.load()
        assert found.aliases == {**here, "mine": "ms:me/mine"}
        assert run(["run", "address", "--questions", "smoke"]) == 2
        told = capsys.readouterr().err
        assert f"address: nobody agreed to aliases.address (means {server.url}#m)" in told
        assert server.requests == []
        agree_to_all()
        assert settings.load().aliases == {**here, **outside}
        assert run(["run", "address", "--questions", "smoke"]) == 0


@pytest.mark.parametrize("target", ["gpt-4o=./model", "GPT-4o =ms:a/b", "./model?name=gpt-4o"])
def test_an_alias_of_the_folder_gives_no_model_another_name(target: str, cloned: Path) -> None:
    says(cloned, f'[aliases]\nq = "{target}"\n')
    found = settings.load()
    assert found.aliases == {} and found.folder_file is not None


@pytest.mark.parametrize(
    "line",
    [
        'questions = "{outside}"',
        'questions = "../id_rsa"',
        'questions = "link"',
        'questions = "~/id_rsa"',
        'pasted = "{outside}"',
        'sessions = "{outside}"',
        'sessions = "link"',
    ],
)
def test_a_path_of_the_folders_file_stays_inside(
    line: str, cloned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "id_rsa"
    outside.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n")
    (cloned / "link").symlink_to(outside)
    says(cloned, line.format(outside=outside))
    with FaultServer(good_answer("x")) as server:
        assert run(["run", f"{server.url}#m"]) == 2
        assert server.requests == []
    told = capsys.readouterr().err
    assert "leads out of the folder" in told and str(cloned / "duibi.toml") in told
    # Who says it on the command line has chosen it.
    name = line.partition(" ")[0]
    if chosen := {"questions": "smoke", "pasted": outside, "sessions": outside}.get(name):
        assert settings.load({name: chosen}).value_of(name) == chosen


def test_a_path_inside_or_agreed_to_is_in_force(cloned: Path, tmp_path: Path) -> None:
    says(cloned, 'questions = "sets/mine.toml"\nsessions = "runs"\nmodel_folders = ["."]\n')
    assert settings.load().questions == "sets/mine.toml"
    says(cloned, 'model_folders = ["../models"]\n')
    assert settings.load().model_folders == ()
    assert "model_folders (leads out of the folder to " in str(settings.load().folder_file)
    agree_to_all()
    assert settings.load().model_folders == (cloned / "../models",)


@pytest.mark.parametrize("line", ['questions = "/etc/passwd"', 'sessions = "/"', 'pasted = "../x"'])
def test_a_path_outside_stops_only_what_would_use_it(
    line: str, cloned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    says(cloned, line)
    assert run(["sessions", "list"]) == 0
    assert f"not in force, as nobody agreed to it: {line.split()[0]}" in capsys.readouterr().err
    mine = 'questions = "smoke"\n'
    (paths.config_dir() / "duibi.toml").write_text(mine)
    assert settings.load().questions == "smoke"


def test_keys_are_ones_own(cloned: Path) -> None:
    """A folder cannot exchange yes and no."""
    says(cloned, '[keys]\n"confirm.yes" = "n"\n"confirm.no" = "y"\n')
    found = settings.load()
    assert found.screen.keys == {} and "keys (only from your own file)" in str(found.folder_file)
