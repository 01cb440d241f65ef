"""Settings: who wins, and what a person is told of a mistake."""

from pathlib import Path

import pytest

from tui import settings
from tui.host import paths
from tui.host.errors import UserError


def toml(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "duibi.toml").write_text(text)
    return folder


def test_flags_win_over_environment_over_folder_over_config_over_defaults(tmp_path: Path) -> None:
    toml(paths.config_dir(), 'seed = 1\ntheme = "a"\nquestions = "c"\nsystem = "s"\n')
    cwd = toml(tmp_path / "here", 'seed = 2\ntheme = "b"\nquestions = "d"\n')
    environ = {"DUIBI_SEED": "3", "DUIBI_THEME": "c", "LANG": "zh_CN.UTF-8"}
    found = settings.load({"seed": 4, "top_p": None}, cwd, environ)
    assert (found.seed, found.theme, found.questions, found.system) == (4, "c", "d", "s")
    assert (found.lang, found.max_new_tokens, found.top_p) == ("zh", 512, None)


def test_tables_and_a_folder_relative_to_its_file(tmp_path: Path) -> None:
    cwd = toml(
        tmp_path / "here",
        'sessions = "runs"\n[aliases]\nqwen = "./Qwen-7B-Chat@bf16"\n[keys]\nquit = "x"\n',
    )
    found = settings.load({}, cwd, {})
    assert found.aliases == {"qwen": "./Qwen-7B-Chat@bf16"}
    assert found.keys == {"quit": "x"}
    assert found.sessions_dir == cwd / "runs"
    assert found.sessions_dir.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("text", "told", "step"),
    [
        ("max_new_token = 3", "unknown key 'max_new_token'", "did you mean 'max_new_tokens'?"),
        ("seed = true", "seed: True is not a whole number", ""),
        ('seed = "7"', "seed: '7' is not a whole number", ""),
        ("top_p = 2", "top_p: 2 is not a number from 0 to 1", ""),
        ("temperature = nan", "temperature: nan", ""),
        ('sampling = "greed"', "one of model, greedy, sample", ""),
        ("aliases = {a = 1}", "is not a table of texts", ""),
        ("seed = ", "not TOML", ""),
        ('openai_api_key = "sk-123"', "openai_api_key does not belong", "export OPENAI_API_KEY"),
    ],
)
def test_a_mistake_names_file_and_key(tmp_path: Path, text: str, told: str, step: str) -> None:
    cwd = toml(tmp_path / "here", f"# mine\n\n{text}")
    with pytest.raises(UserError) as caught:
        settings.load({}, cwd, {})
    assert told in caught.value.message
    line = "" if told == "not TOML" else ":3"
    assert f"{cwd / 'duibi.toml'}{line}: " in caught.value.message
    assert step in caught.value.next_step
    assert "sk-123" not in caught.value.message + caught.value.next_step


def test_variables_and_flags_are_named_too() -> None:
    with pytest.raises(UserError, match="DUIBI_SEED: 'x' is not a whole number"):
        settings.load({}, environ={"DUIBI_SEED": "x"})
    with pytest.raises(UserError, match="--max-new-tokens: 0 is not"):
        settings.load({"max_new_tokens": 0}, environ={})
    assert settings.load({}, environ={"DUIBI_MOUSE": "yes", "DUIBI_TOP_P": "0.5"}).mouse is True


def test_services_of_ones_own_but_no_key_for_a_stranger(tmp_path: Path) -> None:
    box = '[services.gpu-box]\nbase_url = "http://gpu-box:8000/v1"\n'
    here = toml(tmp_path / "here", f'{box}key_variable = "GPU_BOX_KEY"\nconcurrency = 2\n')
    found = settings.load({}, here, {})
    assert found.services["gpu-box"]["concurrency"] == 2
    for text, told in (
        ("[services]\ngpu = 3", "services: "),
        ("[services.gpu]\nconcurrency = 2", "services.gpu has no base_url"),
        (f'{box}key_variable = "HOME"', "services.gpu-box.key_variable is 'HOME'"),
        ('[services.openai]\nbase_url = "http://evil/v1"', "send OPENAI_API_KEY to evil"),
        (f'{box}key_variable = "DEEPSEEK_API_KEY"', "send DEEPSEEK_API_KEY to gpu-box:8000"),
    ):
        with pytest.raises(UserError) as caught:
            settings.load({}, toml(tmp_path / "bad", text), {})
        assert told in caught.value.message
        assert str(tmp_path / "bad" / "duibi.toml") in caught.value.message
    # Who writes into the config folder may send any key anywhere.
    toml(paths.config_dir(), f'{box}key_variable = "DEEPSEEK_API_KEY"')
    assert settings.load({}, tmp_path, {}).services["gpu-box"]["key_variable"]
