"""One flag, one variable, one file or the locale: every command speaks the same language."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.commands import run_with
from tui.cli import COMMANDS
from tui.text.chinese import chinese_texts

_SENTENCE = re.compile(r"[a-z]{3,} [a-z]{2,} [a-z]{2,}")


def duibi(*args: str, **environ: str) -> str:
    """What a command says, on stdout and stderr, in a process of its own: a command is put into
    another language for good."""
    _, (printed,), told = run_with({"LC_ALL": "C.UTF-8"} | environ, Path.cwd(), args)
    return printed + told


def test_help_is_chinese_throughout(tmp_path: Path) -> None:
    commands = ("", "run", "models", "report", "doctor", "bench", "rate")
    lines = [[*command.split(), "--help", "--lang", "zh"] for command in commands]
    _, printed, _ = run_with({"LC_ALL": "C.UTF-8"}, tmp_path, *lines)
    for command, said in zip(commands, printed, strict=True):
        told = [line for line in said.splitlines() if "用法" not in line and "duibi " not in line]
        assert "[OPTIONS]" not in said and "[ARGS]" not in said, command
        assert "选项" in said and not [line for line in told if _SENTENCE.search(line)], command
        assert not re.search(r"<(bool|str|list|path)|\[default|\[required|MODEL|SESSION", said)
        assert "…" not in said.replace("……", ""), "a long text is folded, not cut off"


def help_texts(command: Any) -> Iterator[str]:
    """What ``--help`` says of a command, of its options and of those below it."""
    yield command.help or ""
    yield from (param.help or "" for param in command.params)
    for subcommand in getattr(command, "commands", {}).values():
        yield from help_texts(subcommand)


def test_every_text_of_help_is_in_the_catalogue_itself() -> None:
    """Not put together from forms of other texts, which leaves English words in it."""
    modules = [importlib.import_module(f"tui.cli.commands.{name}") for name in COMMANDS]
    said = {text for module in modules for text in help_texts(module.command) if text}
    numbered = {re.sub(r"\d+", "{count}", text) for text in said} & chinese_texts().keys()
    left = {text for text in said if re.sub(r"\d+", "{count}", text) not in numbered}
    assert not left - chinese_texts().keys()


def test_the_language_comes_from_flag_variable_file_or_locale(tmp_path: Path) -> None:
    chinese, english = "要用哪些模型？", "which models?"
    assert english in duibi("run") and chinese in duibi("run", "--lang", "zh")
    assert chinese in duibi("run", "--lang=zh", DUIBI_LANG="en")
    assert chinese in duibi("run", DUIBI_LANG="zh")
    assert chinese in duibi("run", LC_ALL="zh_CN.UTF-8")
    config = tmp_path / "duibi-config"
    config.mkdir(exist_ok=True)
    (config / "duibi.toml").write_text('lang = "zh"\n')
    assert chinese in duibi("run") and english in duibi("run", DUIBI_LANG="en")


def test_every_command_takes_the_flag_and_no_other_language() -> None:
    commands = ("bench", "sessions list", "questions list", "models list", "rank")
    lines = [[*command.split(), "--lang", "zh"] for command in commands]
    _, printed, told = run_with({"LC_ALL": "C.UTF-8"}, Path.cwd(), *lines)
    assert "--lang" not in told + "".join(printed)
    said = duibi("doctor", "--lang", "fr")
    assert "--lang: 'fr' is not one of en, zh" in said and "use --lang en or --lang zh" in said
