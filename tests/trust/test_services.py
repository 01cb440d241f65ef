"""Services of a cloned folder's file get no key and no visit before an agreement."""

import os
from pathlib import Path

import pytest

from benchmarks.support.fault_server import (
    FaultServer,
    good_answer,
)
from benchmarks.support.terminal import DUIBI, Terminal
from tests.support.cloned_folder import SECRETS, agree_to_all, says, service
from tui import settings, trust
from tui.cli import run_command_line as run
from tui.host import paths
from tui.host.errors import UserError
from tui.models.inventory import find_models
from tui.models.reference import parse_reference
from tui.run.remote_models import resolve_remote


@pytest.mark.parametrize("command", [("doctor",), ("models", "list", "--services")])
@pytest.mark.parametrize("variable", ["AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN"])
def test_a_services_address_gets_no_key_and_no_visit(
    command: tuple[str, ...], variable: str, cloned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FaultServer(good_answer("x"), models=("m",)) as server:
        says(cloned, service(server.url, variable))
        run([*command])
        told = capsys.readouterr()
        assert server.requests == []
        line = f"services.evil (asks 127.0.0.1:{server.port} with the key in {variable})"
        assert line in told.out + told.err
        agree_to_all()
        run([*command])
        sent = {r.headers.get("authorization") for r in server.requests}
    assert sent == {f"Bearer {SECRETS[variable]}"}  # the attack is real: it was there to be sent


def test_a_model_of_such_a_service_is_asked_after_the_agreement_only(
    cloned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FaultServer(good_answer("Paris"), models=("m",)) as server:
        says(cloned, service(server.url, "GITHUB_TOKEN"))
        for models in (["evil:m"], ["demo", "evil:m"]):
            assert run(["run", *models, "--questions", "smoke"]) == 2
        told = capsys.readouterr().err
        assert "nobody agreed to services.evil" in told and str(paths.config_dir()) in told
        assert server.requests == []
        agree_to_all()
        assert run(["run", "evil:m", "--questions", "smoke"]) == 0
        assert f"evil:m (127.0.0.1:{server.port})" in capsys.readouterr().out
        # Another address, another variable, or the same file elsewhere is another matter.
        for text in (
            service(server.url.replace("127.0.0.1", "localhost"), "GITHUB_TOKEN"),
            service(server.url, "AWS_SECRET_ACCESS_KEY"),
        ):
            says(cloned, text)
            assert run(["run", "evil:m", "--questions", "smoke"]) == 2
        (cloned / "deeper").mkdir()
        os.chdir(cloned / "deeper")
        says(cloned / "deeper", service(server.url, "GITHUB_TOKEN"))
        assert run(["run", "evil:m", "--questions", "smoke"]) == 2


def test_a_person_is_asked_on_a_terminal_once(cloned: Path) -> None:
    with FaultServer(good_answer("Paris"), models=("m",)) as server:
        says(cloned, service(server.url, "GITHUB_TOKEN"))
        command = [*DUIBI, "run", "evil:m", "--questions", "smoke"]
        with Terminal(command, {"no_proxy": "*"}, cwd=cloned) as terminal:
            terminal.wait("Agree?", 60)
            assert "with the key in GITHUB_TOKEN" in terminal.text()
            terminal.send("n\r")
            assert terminal.wait_exit() == 2
        assert server.requests == []
        with Terminal(command, {"no_proxy": "*"}, cwd=cloned) as terminal:
            terminal.wait("Agree?", 60)
            terminal.send("y\r")
            assert terminal.wait_exit(60) == 0
        assert server.requests
    remembered = paths.config_dir() / "strangers.json"
    assert remembered.stat().st_mode & 0o777 == 0o600
    assert settings.load().folder_file == trust.SettingsFile(
        cloned / "duibi.toml", ("services.evil",), ()
    )


def test_a_typed_address_gets_no_other_key(cloned: Path) -> None:
    says(cloned, '[services.url]\nkey_variable = "GITHUB_TOKEN"\n')
    with FaultServer(good_answer("x")) as server:
        assert run(["run", f"{server.url}#m", "--questions", "smoke"]) == 0
        sent = {r.headers.get("authorization") for r in server.requests}
    assert sent == {f"Bearer {SECRETS['DUIBI_API_KEY']}"}


def test_the_start_screen_visits_no_address_of_the_folder(cloned: Path) -> None:
    with FaultServer(good_answer("x")) as server:
        says(cloned, f'[services.ollama]\nbase_url = "{server.url}"\n')
        found = settings.load()
        find_models(found.aliases, found.model_folders, found.run.services)
        assert server.requests == []
        agree_to_all()
        found = settings.load()
        find_models(found.aliases, found.model_folders, found.run.services)
        assert server.requests


def test_an_address_out_of_the_environment_is_refused(cloned: Path) -> None:
    says(cloned, '[services.evil]\nlike = "openai"\nbase_url_variable = "GITHUB_TOKEN"\n')
    found = settings.load()
    assert found.run.services == {} and found.folder_file is not None
    assert "base_url_variable" in found.folder_file.fault
    assert SECRETS["GITHUB_TOKEN"] not in str(found.folder_file)


def test_single_fields_of_a_known_service_are_in_force(cloned: Path) -> None:
    (paths.config_dir() / "duibi.toml").write_text(service("http://box:1/v1", "BOX_KEY", "box"))
    says(
        cloned,
        "[services.openai]\nconcurrency = 2\n[services.box]\n"
        'base_url = "http://box:1/v1"\nkey_variable = "BOX_KEY"\nstall_s = 9\n'
        '[services.quick]\nlike = "dashscope"\nbody = { enable_thinking = false }\n',
    )
    found = settings.load()
    assert found.folder_file is not None and not found.folder_file.withheld
    assert found.run.services["openai"] == {"concurrency": 2}
    assert found.run.services["box"]["stall_s"] == 9


def test_a_service_like_a_withheld_one_is_withheld(cloned: Path) -> None:
    more = '[services.b]\nlike = "a"\nbase_url = "https://api.openai.com/v1"\n'
    more += 'key_variable = "OPENAI_API_KEY"\n'
    says(cloned, service("http://evil:1/v1", "GITHUB_TOKEN", "a") + more)
    found = settings.load()
    assert found.folder_file is not None and found.run.services == {}
    needed = trust.needed_claims(found.folder_file, ["b:m"])
    assert {claim.name for claim in needed} == {"a", "b"}
    for claim in needed:
        if claim.name == "b":
            claim.agree()
    assert settings.load().run.services == {}


@pytest.mark.parametrize("name", ["OpenAI", "openai-official", "quick"])
def test_a_label_of_the_folders_service_tells_the_host(
    name: str, cloned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it cannot pass for a service that is known."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-deep-canary")
    says(cloned, f'[services.{name}]\nlike = "deepseek"\ntitle = "OpenAI"\n')
    own = settings.load().run.services
    found = resolve_remote(parse_reference(f"{name}:gpt-4o", own), own, cloned)
    assert found.label == f"{name}:gpt-4o (api.deepseek.com)"


def test_an_agreement_names_the_host_that_is_asked(
    cloned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable of the environment says where a known service is; elsewhere is another matter."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9872/ok/v1")
    says(cloned, '[services.openai]\nbody = { service_tier = "priority" }\n')
    (claim,) = trust.needed_claims(settings.load().folder_file, ["openai:m"])
    assert claim.says.startswith("asks 127.0.0.1:9872 with the key in OPENAI_API_KEY")
    claim.agree()
    assert "openai" in settings.load().run.services
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9873/v1")
    (claim,) = trust.needed_claims(settings.load().folder_file, ["openai:m"])
    assert claim.says.startswith("asks 127.0.0.1:9873 ")
    # Past that address to the usual one is elsewhere, too.
    says(cloned, '[services.openai]\nbase_url = "https://api.openai.com/v1"\n')
    (claim,) = trust.needed_claims(settings.load().folder_file, ["openai:m"])
    assert claim.says.startswith("asks api.openai.com ")


@pytest.mark.parametrize(
    "host", ["\u0430pi.openai.com", "api.openai.com\u2024x", "api openai", "a)b"]
)
def test_no_host_looks_like_another_one(host: str, cloned: Path) -> None:
    """In what a person is asked to agree to; the first one begins with a Cyrillic letter."""
    says(cloned, service(f"https://{host}/v1", "GITHUB_TOKEN"))
    found = settings.load().folder_file
    assert found is not None and "ASCII" in found.fault
    with pytest.raises(UserError):
        resolve_remote(parse_reference(f"https://{host}/v1#m"), {}, cloned)
