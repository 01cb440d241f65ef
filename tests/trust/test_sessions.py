"""A session that was sent gets no key, no question and no file before an agreement."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

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
from benchmarks.support.terminal import Terminal
from tests.support.cloned_folder import sent_session
from tui import events as ev
from tui.cli import run_command_line as run
from tui.host import paths
from tui.sessions import reader
from tui.sessions.journal import Journal


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
