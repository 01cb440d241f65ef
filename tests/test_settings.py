"""Settings: who wins, and what a person is told of a mistake."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from tui import settings
from tui.cli.support.options import read_column
from tui.host import paths
from tui.host.errors import UserError
from tui.options import HEADER_NAMES, RunOptions, ScreenOptions


def toml(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "duibi.toml").write_text(text)
    return folder


def test_flags_win_over_environment_over_folder_over_config_over_defaults(tmp_path: Path) -> None:
    toml(paths.config_dir(), 'seed = 1\ntheme = "a"\nquestions = "c"\nsystem = "s"\n')
    cwd = toml(tmp_path / "here", 'seed = 2\ntheme = "b"\nquestions = "d"\n')
    environ = {"DUIBI_SEED": "3", "DUIBI_THEME": "c", "LANG": "zh_CN.UTF-8"}
    found = settings.load({"seed": 4, "top_p": None}, cwd, environ)
    assert (found.run.seed, found.run.system, found.questions) == (4, "s", "d")
    assert found.screen == ScreenOptions(theme="c", lang="zh")
    assert (found.run.max_new_tokens, found.run.top_p) == (512, None)


def test_tables_and_a_folder_relative_to_its_file(tmp_path: Path) -> None:
    cwd = toml(
        tmp_path / "here",
        'sessions = "runs"\n[aliases]\nqwen = "./Qwen-7B-Chat@bf16"\n',
    )
    toml(paths.config_dir(), '[keys]\nquit = "x"\n[aliases]\nmine = "ms:a/b"\n')
    found = settings.load({}, cwd, {})
    assert found.aliases == {"qwen": "./Qwen-7B-Chat@bf16", "mine": "ms:a/b"}
    assert found.screen.keys == {"quit": "x"}
    assert found.sessions_dir == cwd / "runs"
    assert found.sessions_dir.stat().st_mode & 0o777 == 0o700


def test_an_alias_of_ones_own_file_may_be_a_column_and_a_stranger_s_may_not(
    tmp_path: Path,
) -> None:
    toml(paths.config_dir(), '[aliases]\nwarm = "demo?temperature=0.9&name=warm"\n')
    cwd = toml(tmp_path / "here", '[aliases]\nspy = "demo?system=file:/etc/hostname"\n')
    found = settings.load({}, cwd, {})
    assert found.aliases == {"warm": "demo?temperature=0.9&name=warm"}
    assert found.folder_file is not None and "settings of a column" in found.folder_file.fault
    column = read_column("warm?seed=3", found)
    assert (column.label, column.model) == ("warm", "demo")
    assert column.settings == {"temperature": "0.9", "seed": "3"}


@pytest.mark.parametrize(
    ("text", "told", "step"),
    [
        ("max_new_token = 3", "unknown key 'max_new_token'", "did you mean 'max_new_tokens'?"),
        ("seed = true", "seed: true is not a whole number", ""),
        ('seed = "7"', "seed: '7' is not a whole number", ""),
        ("top_p = 2", "top_p: 2 is not a number from 0 to 1", ""),
        ("temperature = nan", "temperature: nan", ""),
        ('sampling = "greed"', "one of model, greedy, sample", ""),
        ("aliases = {a = 1}", "is not a table of texts", ""),
        ("seed = 0x" + "f" * 5000, "seed: this number is not a whole number", ""),
        ("seed = " + "9" * 4000, "…", ""),
        ("seed = ", "not TOML", ""),
        ('openai_api_key = "sk-123"', "openai_api_key does not belong", "export OPENAI_API_KEY"),
    ],
)
def test_a_mistake_names_file_and_key(tmp_path: Path, text: str, told: str, step: str) -> None:
    mine = toml(paths.config_dir(), f"# mine\n\n{text}")
    with pytest.raises(UserError) as caught:
        settings.load({}, tmp_path, {})
    assert told in caught.value.message
    assert f"{mine / 'duibi.toml'}:3: " in caught.value.message
    assert step in caught.value.next_step
    assert "sk-123" not in caught.value.message + caught.value.next_step


def test_a_mistake_in_a_table_is_told_with_its_own_line(tmp_path: Path) -> None:
    for text, line, told in (
        ('[aliases]\na = "./a"\nb = 3\n', 3, "aliases: {'b': 3} is not a table of texts"),
        (
            '[services.a]\nlike = "openai"\n[services.b]\nbase_url = "nowhere"\n',
            4,
            "'nowhere' is not the base",
        ),
        ('[services.b]\nbase_url = "http://a/v1"\n\nconcurency = 3\n', 4, "'concurency'"),
    ):
        mine = toml(paths.config_dir(), text)
        with pytest.raises(UserError) as caught:
            settings.load({}, tmp_path, {})
        assert caught.value.message.startswith(f"{mine / 'duibi.toml'}:{line}: ")
        assert told in caught.value.message


def test_variables_and_flags_are_named_too() -> None:
    with pytest.raises(UserError, match="DUIBI_SEED: 'x' is not a whole number"):
        settings.load({}, environ={"DUIBI_SEED": "x"})
    with pytest.raises(UserError, match="--max-new-tokens: 0 is not"):
        settings.load({"max_new_tokens": 0}, environ={})
    found = settings.load({}, environ={"DUIBI_MOUSE": "yes", "DUIBI_TOP_P": "0.5"})
    assert (found.screen.mouse, found.run.top_p) == (True, 0.5)


def test_services_of_ones_own_but_no_key_for_a_stranger(tmp_path: Path) -> None:
    box = '[services.gpu-box]\nbase_url = "http://gpu-box:8000/v1"\n'
    mine = f'{box}key_variable = "GPU_BOX_KEY"\nconcurrency = 2\n'
    toml(paths.config_dir(), mine)
    found = settings.load({}, tmp_path, {})
    assert found.run.services["gpu-box"]["concurrency"] == 2
    # The same of a folder has no effect before an agreement (tests/trust).
    (paths.config_dir() / "duibi.toml").unlink()
    found = settings.load({}, toml(tmp_path / "here", mine), {})
    assert found.run.services == {}
    for text, told in (
        ("[services]\ngpu = 3", "services: "),
        ("[services.gpu]\nconcurrency = 2", "services.gpu has no base_url"),
        (f'{box}key_variable = "HOME"', "services.gpu-box.key_variable is 'HOME'"),
        ('[services.openai]\nbase_url = "http://evil/v1"', "send OPENAI_API_KEY to evil"),
        (f'{box}key_variable = "DEEPSEEK_API_KEY"', "send DEEPSEEK_API_KEY to gpu-box:8000"),
    ):
        found = settings.load({}, toml(tmp_path / "bad", text), {})
        assert found.run.services == {} and found.folder_file is not None
        assert told in found.folder_file.fault
        assert found.folder_file.fault.startswith(str(tmp_path / "bad" / "duibi.toml"))
    # Who writes into the config folder may send any key anywhere.
    toml(paths.config_dir(), f'{box}key_variable = "DEEPSEEK_API_KEY"')
    assert settings.load({}, tmp_path, {}).run.services["gpu-box"]["key_variable"]


_NO_SETTINGS = ("run", "screen", "own_file", "folder_file")


def test_a_setting_is_declared_in_exactly_one_place() -> None:
    places = (f.name for of in (settings.Settings, RunOptions, ScreenOptions) for f in fields(of))
    declared = [name for name in places if name not in _NO_SETTINGS]
    assert sorted(declared) == sorted(settings.DECLARATIONS)
    assert len(declared) == len(set(declared))
    flags = [flag.name for one in settings.DECLARATIONS.values() for flag in one.flags]
    assert len(flags) == len(set(flags))


def test_the_header_of_a_session_holds_the_options_of_the_run_in_one_order() -> None:
    plain = '{"max_new_tokens": 512, "sampling": "model", "repeat": 1, "lookup": false, '
    plain += '"loop_stop": true, '
    plain += '"schedule": "auto", "measure": true, "blind": false}'
    assert json.dumps(RunOptions().header()) == plain
    full = RunOptions(
        system="s", context=64, temperature=1.0, top_p=1.0, top_k=1, repetition_penalty=1.0, seed=0,
        logprobs=5, batch=2, dimensions=("a",), pasted=Path("p"), services={"box": {}}, title="t",
        chat_template=Path("t.jinja"), budget={"USD": 2.0}, concurrency=9,
        think="on", think_tokens=9,
    )  # fmt: skip
    assert " ".join(full.header()) == (
        "system max_new_tokens context sampling temperature top_p top_k repetition_penalty seed "
        "think think_tokens logprobs repeat batch lookup chat_template loop_stop schedule "
        "measure blind dimensions title concurrency budget"
    )
    assert tuple(full.header()) == HEADER_NAMES
    shaping = {name for name, one in settings.DECLARATIONS.items() if one.effect != "none"}
    assert shaping == set(HEADER_NAMES)
