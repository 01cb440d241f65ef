"""A folder that was cloned and a session that was sent get no key, no question and no file."""

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tui
from benchmarks.support.fault_server import (
    FaultServer,
    Received,
    Reply,
    error_status,
    good_answer,
)
from benchmarks.support.recorded_sessions import record_session, recorded_header
from benchmarks.support.terminal import DUIBI, Terminal
from tests.support.endpoints import clear_proxies
from tui import events as ev
from tui import settings, trust
from tui.cli import run_command_line as run
from tui.cli.support.completion import candidates
from tui.host import paths
from tui.host.errors import UserError
from tui.models.inventory import find_models
from tui.models.reference import parse_reference
from tui.run.remote_models import resolve_remote
from tui.sessions import reader
from tui.sessions.journal import Journal

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI-canary-K7MDENG",
    "GITHUB_TOKEN": "ghp_canary0123456789abcdef",
    "DUIBI_API_KEY": "sk-canary-of-ones-own-server",
}


@pytest.fixture(autouse=True)
def cloned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which somebody else filled; secrets are in the environment."""
    clear_proxies(monkeypatch)
    for name in ("OPENAI", "DEEPSEEK", "DASHSCOPE"):
        monkeypatch.delenv(f"{name}_API_KEY", raising=False)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    folder = tmp_path / "cloned"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def says(folder: Path, text: str) -> None:
    (folder / "duibi.toml").write_text(text)


def service(url: str, variable: str, name: str = "evil") -> str:
    return f'[services.{name}]\nbase_url = "{url}"\nkey_variable = "{variable}"\n'


def agree_to_all() -> None:
    """What a person does who is asked on a terminal."""
    file = settings.load().folder_file
    assert file is not None and file.withheld
    for claim in file.withheld:
        claim.agree()


# -- services of the folder's file -----------------------------------------------------------


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
            assert terminal.wait_exit(30) == 2
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


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("openai", "body = { max_completion_tokens = 100000 }"),
        ("openai", 'body = { service_tier = "priority" }'),
        ("openai", "body = { web_search_options = {} }"),
        ("openai", 'think = "on"'),
        ("quick", 'like = "dashscope"\nbody = { enable_thinking = true }'),
        ("quick", 'like = "dashscope"\nbody = { enable_search = true }'),
        ("quick", 'like = "dashscope"\nthink = "on"\nthinking_on = { thinking_budget = 99999 }'),
        ("dashscope", 'max_tokens_field = "unheard_of"'),
        ("dashscope", "include_usage = false"),
        ("dashscope", 'budget_field = "max_tokens"'),
        ("openrouter", 'effort_field = "service_tier"'),
        ("box", 'base_url = "http://box:1/v1"\nkey_variable = "BOX_KEY"'),
    ],
)
def test_requests_that_cost_more_are_made_after_an_agreement_that_shows_them(
    name: str, entry: str, cloned: Path
) -> None:
    """The last one takes away the limit that the person's own entry names."""
    own = service("http://box:1/v1", "BOX_KEY", "box") + 'max_tokens_field = "num_predict"\n'
    (paths.config_dir() / "duibi.toml").write_text(own)
    says(cloned, f"[services.{name}]\n{entry}\n")
    found = settings.load()
    assert found.folder_file is not None
    (claim,) = trust.needed_claims(found.folder_file, [f"{name}:m"])
    field = "max_tokens_field" if name == "box" else re.findall(r"(\w+) = ", entry)[-1]
    assert f'{field}": ' in claim.says
    kept = {"box": {"base_url", "key_variable", "max_tokens_field"}}.get(name, set())
    assert set(found.run.services.get(name, ())) == kept
    claim.agree()
    assert name in settings.load().run.services
    # What else it adds is another matter.
    says(cloned, f"[services.{name}]\n{entry}\nthinking_off = {{ more = true }}\n")
    assert trust.needed_claims(settings.load().folder_file, [f"{name}:m"])


def test_an_agreement_shows_all_of_a_request_or_says_that_it_does_not(cloned: Path) -> None:
    fields = ", ".join(f'a{n} = "x"' for n in range(100))
    says(cloned, f'[services.openai]\nbody = {{ {fields}, service_tier = "priority" }}\n')
    (claim,) = trust.needed_claims(settings.load().folder_file, ["openai:m"])
    assert "more than can be shown in requests" in claim.says


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


# -- aliases ---------------------------------------------------------------------------------


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


# -- paths -----------------------------------------------------------------------------------


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


def test_prices_are_ones_own(cloned: Path) -> None:
    says(cloned, '[prices."openai:*"]\ninput = 0\noutput = 0\n')
    found = settings.load({}, cloned, {})
    assert found.run.prices == {} and "prices (only from your own file)" in str(found.folder_file)


@pytest.mark.parametrize(
    ("theirs", "is_in_force"),
    [
        ("1000", False),
        ("2.5", False),
        ("1CNY", False),
        ("2USD,1CNY", False),
        ("2", True),
        ("1", True),
        ("0", True),
    ],
)
def test_a_budget_is_never_raised(theirs: str, is_in_force: bool, cloned: Path) -> None:
    (paths.config_dir() / "duibi.toml").write_text('budget = "2"\n')
    says(cloned, f'budget = "{theirs}"\nseed = 3\n')
    found = settings.load()
    assert found.run.budget == {"": float(theirs)} if is_in_force else {"": 2.0}
    assert ("budget (more than your own)" in str(found.folder_file)) is not is_in_force
    assert found.run.seed == 3


def test_a_budget_that_is_higher_stops_no_command(
    cloned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is asked about it: one's own counts. Nothing at all is less in every currency, and an
    amount of no currency is no budget."""
    (paths.config_dir() / "duibi.toml").write_text('budget = "0.0001USD"\n')
    says(cloned, 'budget = "9USD"\n')
    with FaultServer(good_answer("Paris"), models=("m",)) as server:
        assert run(["run", f"{server.url}#m", "--questions", "smoke"]) == 0
    assert "budget (more than your own)" in capsys.readouterr().err
    says(cloned, 'budget = "0"\n')
    assert settings.load().run.budget == {"USD": 0.0}
    says(cloned, "budget = {}\n")
    assert settings.load().run.budget == {"USD": 0.0001}


@pytest.mark.parametrize(
    ("own", "theirs", "is_in_force"),
    [
        ("", 'think = "high"', False),
        ("", 'think = "low"', False),
        ("", 'think = "on"', False),
        ('think = "off"', 'think = "low"', False),
        ('think = "high"', 'think = "medium"', True),
        ('think = "on"', 'think = "off"', True),
        ("", "think_tokens = 9", False),
        ("think_tokens = 9", "think_tokens = 8", True),
        ("", "logprobs = 20", False),
        ("logprobs = 3", "logprobs = 2", True),
    ],
)
def test_no_more_is_asked_of_a_model_than_by_oneself(
    own: str, theirs: str, is_in_force: bool, cloned: Path
) -> None:
    (paths.config_dir() / "duibi.toml").write_text(own)
    mine = settings.load()
    says(cloned, f"seed = 3\n{theirs}\n")
    found, name = settings.load(), theirs.partition(" ")[0]
    assert (found.value_of(name) == mine.value_of(name)) is not is_in_force
    assert (f"{name} (more than your own)" in str(found.folder_file)) is not is_in_force
    assert found.run.seed == 3


def test_a_service_that_thinks_less_is_in_force(cloned: Path) -> None:
    box = service("http://box:1/v1", "BOX_KEY", "box") + 'thinking_on = { a = 1 }\nthink = "on"\n'
    (paths.config_dir() / "duibi.toml").write_text(box)
    says(cloned, box.replace('"on"', '"off"') + "thinking_off = { a = 0 }\n")
    found = settings.load().folder_file
    assert found is not None and found.withheld  # it adds a field that nobody knows
    says(cloned, box.replace('"on"', '""'))
    assert settings.load().run.services["box"]["think"] == ""


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


# -- a file that cannot be used --------------------------------------------------------------

NO_USE = {
    "no TOML": "seed = [",
    "another address for a known service": '[services.openai]\nbase_url = "http://evil:1/v1"\n',
    "an unknown key": "sed = 3\n",
    "a wrong value": 'seed = "three"\n',
    "no model behind an alias": '[aliases]\nq = "model"\n',
    "too many aliases": "[aliases]\n" + "".join(f'a{n} = "./m{n}"\n' for n in range(20_000)),
}


@pytest.mark.parametrize("kind", [*NO_USE, "dangling", "folder", "pipe", "unreadable"])
def test_a_file_that_cannot_be_used_is_passed_over(
    kind: str, cloned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (paths.config_dir() / "duibi.toml").write_text('seed = 7\n[aliases]\nq = "ms:me/mine"\n')
    file = cloned / "duibi.toml"
    if kind == "dangling":
        file.symlink_to("nowhere")
    elif kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        says(cloned, NO_USE.get(kind, "seed = 3\n"))
        file.chmod(0o600 if kind in NO_USE else 0)
    if kind == "unreadable" and os.access(file, os.R_OK):
        pytest.skip("root reads every file")
    assert run(["sessions", "list"]) == 0
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "duibi.toml" in one]
    assert line.startswith(f"duibi: passed over: {file}") and len(line) < 400
    found = settings.load()
    assert found.run.seed == 7 and found.aliases == {"q": "ms:me/mine"}


def test_what_is_told_of_a_file_has_a_bounded_length(cloned: Path) -> None:
    lines = (f'a{n} = "openai:{"m" * 180}{n}"\n' for n in range(trust.MOST_ENTRIES))
    says(cloned, "[aliases]\n" + "".join(lines))
    told = str(settings.load().folder_file)
    assert len(told) < 2500 and told.endswith(f"; and {trust.MOST_ENTRIES - 10} more")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_names_in_the_folders_file_do_nothing_to_a_terminal(
    language: str,
    cloned: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DUIBI_LANG", language)
    word, target = json.dumps("\x1b]0;x\x07\u202e\ny"), json.dumps("openai:\x1b[2J")
    for text in (
        f'[aliases]\n{word} = "openai:m"\n',
        f"[aliases]\nq = {target}\n",
        f"{word} = 1\n",
    ):
        says(cloned, text)
        for command in (["sessions", "list"], ["run", "q"], ["doctor"]):
            run(command)
            told = capsys.readouterr()
            assert not set("\x1b\x07\u202e") & set(told.out + told.err)
            assert len([one for one in told.err.splitlines() if "duibi.toml" in one]) <= 2


@pytest.mark.parametrize(
    "command",
    [("run", "q"), ("bench", "q"), ("models", "inspect", "q"), ("models", "fit", "q"),
     ("models", "get", "q"), ("models", "quantize", "q")],
)  # fmt: skip
def test_a_withheld_alias_says_how_to_agree(
    command: tuple[str, ...], cloned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    says(cloned, '[aliases]\nq = "openai:gpt-4o"\n')
    assert run([*command]) == 2
    told = capsys.readouterr().err
    assert "q: nobody agreed to aliases.q (means openai:gpt-4o)" in told
    assert "`duibi run q` in a terminal" in told


def test_an_alias_that_is_in_force_is_known_to_every_command(
    cloned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    says(cloned, '[aliases]\nq = "./model"\n')
    (cloned / "model").mkdir()
    (cloned / "model" / "config.json").write_text("{}")
    for command in (["run", "q"], ["models", "fit", "q"], ["models", "inspect", "q"]):
        assert run(command) == 2
        told = capsys.readouterr()
        assert "config.json names no model_type" in told.out + told.err
        assert "unknown model" not in told.err


@pytest.mark.parametrize(
    "name", ["a;id", "$(id)", "`id`", "a b", "a&id", "a|id", "a\\nid", "a>b", "#a"]
)
def test_a_shell_completes_no_word_that_it_would_run(name: str, cloned: Path) -> None:
    """bash puts what is completed into the line as it is."""
    aliases = f'[aliases]\nplain = "./model"\n{json.dumps(name)} = "./model"\n'
    says(cloned, f'sessions = "runs"\n{aliases}')
    session = cloned / "runs" / f"{name}.duibi"
    session.parent.mkdir()
    session.write_text("")
    offered = {
        word
        for words in (["run", ""], ["replay", ""])
        for word in candidates(words, ["run", "replay"])
    }
    assert "plain" in offered and "demo" in offered
    assert not [
        word for word in offered if set(word) & set(";$`& |\n><()'\"\\*?[]{}!") or word[0] == "#"
    ]


# -- what is told ----------------------------------------------------------------------------


def test_what_is_told_is_in_the_persons_language(
    cloned: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DUIBI_LANG", "zh")
    says(cloned, 'lang = "en"\n[aliases]\nx = "openai:gpt-4o"\n')
    run(["sessions", "list"])
    told = capsys.readouterr().err
    assert "duibi.toml 设置了 lang；未生效，因为没有人同意：aliases.x（指 openai:gpt-4o）" in told


def test_what_is_in_force_is_told_once(cloned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    says(cloned, 'seed = 3\n[aliases]\nq = "./model"\nx = "openai:gpt-4o"\n')
    (paths.config_dir() / "duibi.toml").write_text('theme = "duibi-light"\n')
    run(["sessions", "list"])
    told = capsys.readouterr().err
    assert told.count(f"{cloned}/duibi.toml sets seed, aliases.q; not in force") == 1
    assert "aliases.x (means openai:gpt-4o)" in told
    run(["doctor"])
    told = capsys.readouterr().out
    assert f"{paths.config_dir()}/duibi.toml sets theme" in told
    assert f"{cloned}/duibi.toml sets seed, aliases.q; not in force" in told
    (cloned / "duibi.toml").unlink()
    run(["sessions", "list"])
    assert "duibi.toml" not in capsys.readouterr().err


def test_the_configuration_folder_is_ones_own_also_as_the_current_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(paths.config_dir())
    says(paths.config_dir(), service("http://box:1/v1", "GITHUB_TOKEN", "box"))
    found = settings.load()
    assert found.folder_file is None and "box" in found.run.services


# -- a session that was sent -----------------------------------------------------------------


def sent_session(
    folder: Path,
    name: str,
    label: str,
    engine: str = "endpoint",
    settings: dict[str, Any] | None = None,
) -> Path:
    """A run that broke off, as somebody else wrote it."""
    model = {"name": name, "label": label, "engine": engine}
    questions = {"name": "set", "questions": [{"id": "q", "turns": ["Why?"]}]}
    header = ev.Session(
        ev.VERSION, "0", "2026-11-22T00:00:00Z", [model], questions, settings=settings or {}
    )
    journal = Journal.create(folder / "sent", header)
    journal.close()
    return journal.path


def test_a_sessions_address_is_asked_after_an_agreement_only(
    cloned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FaultServer(good_answer("because"), models=("m",)) as server:
        label = f"m (127.0.0.1:{server.port})"
        path = sent_session(cloned, f"{server.url}#m", label)
        before = path.read_bytes()
        assert run(["run", "--resume", str(path)]) == 2
        told = capsys.readouterr().err
        assert server.requests == [] and path.read_bytes() == before
        assert f"would ask {server.url}, with the key in DUIBI_API_KEY" in told
        # Who names the address has agreed to it.
        assert run(["run", f"{server.url}#m", "--questions", "smoke"]) == 0
        assert run(["run", "--resume", str(path)]) == 0
        assert len(server.requests) > 4


@pytest.mark.parametrize("label", ["gpt-4o", "openai:gpt-4o"])
def test_a_sessions_label_does_not_pass_for_a_known_service(
    label: str, cloned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FaultServer(good_answer("because"), models=("m",)) as server:
        assert run(["run", f"{server.url}#gpt-4o", "--questions", "smoke"]) == 0
        asked = len(server.requests)
        path = sent_session(cloned, f"{server.url}#gpt-4o", label)
        assert run(["run", "--resume", str(path)]) == 2
        assert f"heads {server.url}#gpt-4o with the name {label}" in capsys.readouterr().err
        assert len(server.requests) == asked


def test_a_name_that_a_person_gave_is_kept(cloned: Path) -> None:
    def moody(reply: Reply, received: Received) -> None:
        (error_status(400, "no") if received.number == 1 else good_answer("yes"))(reply, received)

    with FaultServer(moody, models=("m",)) as server:
        mine = [f"small={server.url}#m", f"{server.url}#m"]
        assert run(["run", *mine, "--questions", "smoke"]) == 1
        assert run(["run", "--resume", "last"]) == 0
        assert server.asked == 7


def test_a_session_takes_no_answers_of_another_before_an_agreement(
    cloned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = recorded_header(["demo@bf16"], [{"id": "q", "turns": ["Why?"]}])
    private = record_session(paths.sessions_dir(), head, lambda *_: "my private answer")
    name = f"session:{private.name}#demo@bf16"
    path = sent_session(cloned, name, "demo@bf16 (recorded)", "recorded")
    assert run(["run", "--resume", str(path)]) == 2
    assert f"would take over answers of {private.name}" in capsys.readouterr().err
    assert b"private" not in path.read_bytes()
    assert run(["run", name, "--questions", "smoke"]) in (0, 1)
    assert run(["run", "--resume", str(path)]) == 0
    assert "my private answer" in "".join(
        event.body.text for event in reader.read(path).events if isinstance(event.body, ev.Delta)
    )


def test_a_session_names_no_file_before_an_agreement(
    cloned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What stands in a chat template is asked, and any file can be named as one."""
    private = tmp_path / "id_rsa"
    private.write_text("my private key")
    with FaultServer(good_answer("because"), models=("m",)) as server:
        name = f"{server.url}#m"
        assert run(["run", name, "--questions", "smoke"]) == 0
        asked = len(server.requests)
        chosen = {"chat_template": str(private)}
        path = sent_session(cloned, name, f"m (127.0.0.1:{server.port})", settings=chosen)
        before = path.read_bytes()
        assert run(["run", "--resume", str(path)]) == 2
        assert f"would read the chat template {private}" in capsys.readouterr().err
        assert len(server.requests) == asked and path.read_bytes() == before
        # Who asked with it has agreed to it.
        flags = ["--chat-template", str(private), "--questions", "smoke"]
        assert run(["run", name, *flags]) == 0
        assert run(["run", "--resume", str(path)]) == 0


def test_a_session_raises_no_budget(cloned: Path) -> None:
    price = '[prices."*"]\ninput = 1000000\noutput = 1000000\n'
    says(paths.config_dir(), f'budget = "0.01"\n{price}')
    with FaultServer(good_answer("because"), models=("m",)) as server:
        name = f"{server.url}#m"
        run(["run", name, "--questions", "smoke"])  # so that its address is agreed to
        label = f"m (127.0.0.1:{server.port})"
        path = sent_session(cloned, name, label, settings={"budget": {"": 1e9}})
        assert run(["run", "--resume", str(path)]) == 5
        assert run(["run", "--resume", str(path), "--budget", "999999999"]) == 0


def test_a_sessions_name_is_no_alias(cloned: Path) -> None:
    with FaultServer(good_answer("because"), models=("m",)) as server:
        (paths.config_dir() / "duibi.toml").write_text(f'[aliases]\nq = "{server.url}#m"\n')
        path = sent_session(cloned, "q", "q")
        assert run(["run", "--resume", str(path)]) == 2
        assert server.requests == []


@pytest.mark.parametrize(
    "name",
    [
        "http://127.0.0.1:9/v1?system=x#m",
        "http://127.0.0.1:9/v1?system=x",
        "openai:gpt-4o?bogus=1",
        "nosuch:thing",
        "",
    ],
)
def test_a_session_with_a_model_that_cannot_be_named_is_told_by_its_name(
    name: str, cloned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = replace(
        recorded_header(["x"], [{"id": "one", "turns": ["?"]}]),
        models=[{"name": name, "label": "x", "engine": "endpoint"}],
    )
    journal = Journal.create(cloned, head)
    journal.close()
    assert run(["run", "--resume", str(journal.path)]) == 2
    told = capsys.readouterr().err
    assert f"duibi: {journal.path.name} names a model that cannot be asked: " in told
    assert told.endswith("-> begin a new session with `duibi run`\n")


def test_a_person_agrees_to_a_sessions_address_on_a_terminal(cloned: Path) -> None:
    with FaultServer(good_answer("because"), models=("m",)) as server:
        path = sent_session(cloned, f"{server.url}#m", f"m (127.0.0.1:{server.port})")
        command = [sys.executable, "-m", "tui", "run", "--resume", str(path)]
        with Terminal(command, {"no_proxy": "*"}, cwd=cloned) as terminal:
            terminal.wait("Agree?", 60)
            assert "DUIBI_API_KEY" in terminal.text() and server.requests == []
            terminal.send("y\r")
            assert terminal.wait_exit(60) == 0
        assert server.requests
    assert json.loads((paths.config_dir() / "strangers.json").read_text())


def test_commands_read_their_settings_where_agreements_are_asked_for() -> None:
    """`doctor` tells of the file itself, the language is known before anything is said, and what
    completes words in a shell says nothing."""
    program = Path(tui.__file__).parent / "cli"
    uses = re.compile(
        r"settings_of\.load\(|\bsettings\.load\(|from tui\.settings import .*\bload\b"
    )
    found = {path.stem for path in program.rglob("*.py") if uses.search(path.read_text("utf-8"))}
    assert found == {"settings_in_force", "doctor", "language", "completion"}
