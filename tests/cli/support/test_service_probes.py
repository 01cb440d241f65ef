"""What `duibi doctor` and `duibi models list --services` say of services that can be asked."""

import json
from pathlib import Path

import pytest

from benchmarks.support.fault_server import FaultServer, good_answer
from tests.support.endpoints import clear_proxies
from tui.cli import run_command_line as run
from tui.host import paths
from tui.services import known_services

CANARY = "sk-canary-77aa01"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clear_proxies(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for service in known_services({}, {}).values():
        for variable in service.key_variables:
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    monkeypatch.setenv("BOX_KEY", CANARY)


def configured(url: str, more: str = "") -> None:
    text = f'[services.box]\nbase_url = "{url}"\nkey_variable = "BOX_KEY"\n{more}'
    (paths.config_dir() / "duibi.toml").write_text(text)


def test_a_service_is_reachable_has_a_key_knows_its_models(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with FaultServer(good_answer("x"), models=("llama", "qwen")) as server:
        configured(server.url, '[aliases]\nbest = "box:qwen"\n')
        run(["doctor"])
        told = capsys.readouterr().out
        line = next(one for one in told.splitlines() if "service box" in one)
        assert line.startswith("ok") and "ms, BOX_KEY is set, 2 models" in line
        gone = next(one for one in told.splitlines() if "service ollama" in one)
        assert "127.0.0.1:1 cannot be reached" in gone
        configured(server.url, '[aliases]\nbest = "box:mistral"\n')
        run(["doctor"])
        assert "not mistral" in capsys.readouterr().out
    assert CANARY not in told


def test_what_services_offer_are_references(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultServer(good_answer("x"), models=("llama", "qwen")) as server:
        configured(server.url)
        assert run(["models", "list", "--services"]) == 0
        told = capsys.readouterr()
        assert "box:llama" in told.out and "box:qwen" in told.out
        assert "ollama: nothing listens at 127.0.0.1:1" in told.err
        assert run(["models", "list", "--services", "--json"]) == 0
        made = {one["service"]: one for one in json.loads(capsys.readouterr().out)}
        assert made["box"]["models"] == ["llama", "qwen"] and made["box"]["key_present"] is True
        assert made["ollama"]["reachable"] is False
    assert CANARY not in told.out + told.err + json.dumps(made)
