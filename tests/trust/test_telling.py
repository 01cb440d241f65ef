"""A cloned folder's file that cannot be used, and what is told of one that is in force."""

import json
import os
from pathlib import Path

import pytest

from tests.support.cloned_folder import says, service
from tui import settings, trust
from tui.cli import run_command_line as run
from tui.cli.support.completion import candidates
from tui.host import paths

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
