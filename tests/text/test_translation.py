"""Everything that the program says in English, outside of the screen and of reports, has a
Chinese text."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui.events import RUN, Note
from tui.reports.merge import merge_sessions
from tui.reports.rows import to_csv
from tui.sessions import reader
from tui.text.chinese import chinese_texts, find_chinese
from tui.text.translation import speak, tr, translate

ROOT = Path(__file__).parents[2]
LISTED = ROOT / "tests" / "data" / "texts_without_chinese.toml"
_SENTENCE = re.compile(r"[a-z]{3,} [a-z]{2,} [a-z]{2,}")
_COMMAND = re.compile(r"`[^`]*`|duibi [a-z]+ [a-z]+( [\w:]+)?|(pip|apt) install [\w-]+")
_WORDS = re.compile(r"[A-Za-z]{2,}[,:;]? [a-z]")


def literals(source: str) -> Iterator[str]:
    """The texts of a module but for its docstrings; ``3`` stands for what is filled in."""
    tree = ast.parse(source)
    inner = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inner |= {id(part) for part in node.values}
            inner |= {
                id(spec)
                for part in node.values
                if isinstance(part, ast.FormattedValue)
                for spec in ast.walk(part.format_spec or ast.Pass())
            }
    for node in ast.walk(tree):
        if id(node) in inner:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(map(_part, node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _part(part: ast.expr) -> str:
    if isinstance(part, ast.FormattedValue):
        return "'3'" if part.conversion == ord("r") else "3"
    return str(part.value) if isinstance(part, ast.Constant) else ""


def is_said(text: str) -> bool:
    """Whether there is a Chinese text, and no sentence in it that is still English."""
    said = find_chinese(text)
    return said is not None and not _SENTENCE.search(_COMMAND.sub("", said))


def said_in_english() -> dict[str, set[str]]:
    """Module -> its texts of several words that have no Chinese one."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tui").rglob("*.py")):
        texts = {text for text in literals(path.read_text("utf-8")) if _WORDS.search(text)}
        if missing := {text for text in texts if not is_said(text)}:
            found[str(path.relative_to(ROOT))] = missing
    return found


def test_every_text_has_a_chinese_one_or_a_reason_for_none() -> None:
    groups = tomllib.loads(LISTED.read_text("utf-8"))["group"]
    assert all(group["reason"].strip() for group in groups)
    listed = {text for group in groups for text in group["texts"]}
    folders = tuple(folder for group in groups for folder in group.get("folders", ()))
    found = {
        module: texts
        for module, texts in said_in_english().items()
        if not module.startswith(folders)
    }
    new = {module: sorted(texts - listed) for module, texts in found.items() if texts - listed}
    assert new == {}, "give them a Chinese text in tui/text/chinese.toml"
    gone = listed.difference(*found.values())
    assert not gone, f"no longer there, remove from {LISTED.name}: {sorted(gone)}"


def test_both_languages_fill_in_the_same() -> None:
    name = re.compile(r"\{(\w*)(?::text)?\}")
    for english, chinese in chinese_texts().items():
        assert set(name.findall(chinese)) <= set(name.findall(english)), english


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("which models?", "要用哪些模型？"),
        ("medians; which models?", "中位数；要用哪些模型？"),
        ("use tongji, fifty, or a file (.toml)", "请用 tongji, fifty，或文件（.toml）"),
        ("length, 12 tokens, 3.1 tok/s", "达到 token 上限，12 token，3.1 tok/s"),
        ("  missing", "  缺少"),
        ("e.g. `duibi run demo`", "例如 `duibi run demo`"),
        ("a/b.toml: question 3: is empty", "a/b.toml：第 3 题：为空"),
        ("--top-p: 7 is not a number from 0 to 1", "--top-p：7 不是0 到 1 的数"),
        ("no space for m: 2 GB needed, 1 GB free in /d", "放不下 m：需要 2 GB，/d 可用 1 GB"),
        ("q1: failed: no connection -> check the key", "q1：失败：没有连接 -> 请检查密钥"),
        ("the worker does not answer: wait, or stop it and ask again",
         "工作进程没有应答：请等待，或停止后重新提问"),
    ],
)  # fmt: skip
def test_texts_are_known_by_their_form(english: str, chinese: str) -> None:
    assert translate(english, "zh") == chinese
    assert translate(english, "en") == english


@pytest.mark.parametrize("typed", ["cold", "stop, x", "'no model; cold: failed'"])
def test_words_of_others_stay_as_they_were_typed(typed: str) -> None:
    """Whatever a text of the program tells: names, paths and labels may be words that it uses."""
    changed = {}
    for english, chinese in chinese_texts().items():
        filled = {name for _, name, *_ in Formatter().parse(english) if name}
        translated = {name for _, name, spec, _ in Formatter().parse(chinese) if spec}
        told = {name for _, name, spec, _ in Formatter().parse(chinese) if name and not spec}
        values = {name: "no connection" if name in translated else typed for name in filled}
        # Of these a form takes only what has no space in it.
        values |= dict.fromkeys(filled & {"number", "count", "word"}, "7")
        text = english.replace(":text}", "}").format(**values)
        if typed in [values[name] for name in told] and typed not in (find_chinese(text) or ""):
            changed[text] = find_chinese(text)
    # One form has hardly a word of its own.
    assert set(changed) <= {f"{typed} left"}


def test_a_text_that_another_one_follows_does_not_take_it_for_its_own() -> None:
    rest, wrong = "a machine at rest is faster", {}
    for english in chinese_texts():
        filled = {name: "7" for _, name, *_ in Formatter().parse(english) if name}
        text = english.replace(":text}", "}").format(**filled)
        if " " in text and "; " not in text and (alone := find_chinese(text)) is not None:
            both = find_chinese(f"{text}; {rest}") or ""
            if both != f"{alone}；{find_chinese(rest)}":
                wrong[text] = both
    assert wrong == {}


def test_a_note_of_a_person_is_not_translated(tmp_path: Path) -> None:
    header = recorded_header(["cold"], [{"id": "q", "turns": ["?"]}])
    extra = [(RUN, Note("cold", 0, "person")), (RUN, Note("stopped", 0))]
    path = record_session(tmp_path, header, lambda m, q: "hi", extra)
    assert to_csv(merge_sessions([reader.read(path)]), "zh").endswith("cold / 已停止\r\n")


@pytest.mark.parametrize(
    "text", ["", "demo@bf16", "一句中文", "The capital of France is Paris.", "a: b", "x; y -> z"]
)
def test_what_nobody_knows_stays_as_it_is(text: str) -> None:
    assert translate(text, "zh") == text


def test_the_language_is_chosen_once_for_the_process() -> None:
    try:
        speak("zh")
        assert tr("which models?") == "要用哪些模型？"
    finally:
        speak("en")
    assert tr("which models?") == "which models?"


@pytest.mark.parametrize(
    "text",
    [
        "f.yaml: 'x.txt' is another file, which is not read",
        "no space to convert a.gguf in /tmp: it takes 2 GB, 1 GB are free",
        "cannot write to stdout: No space left on device",
        "int8, own kernels, AVX2",
        "e.g. `e2e>1.2`; one of changed, e2e, with < <= > >=",
    ],
)
def test_a_form_of_many_words_is_meant_before_parts_of_it(text: str) -> None:
    said = find_chinese(text) or text
    names = "yaml|txt|gguf|tmp|int8|e2e|changed|with x"
    assert not re.search(r"[a-z]{2,}", re.sub(names, "", said)), said


def test_a_text_is_rendered_whole_or_left_whole() -> None:
    """Also behind a word: a form of few words does not take parts of a sentence as its names."""
    prose, mixed = re.compile(r"[A-Za-z][a-z]+,? [a-z]{2,}"), {}
    for english in chinese_texts():
        filled = {name: "7" for _, name, *_ in Formatter().parse(english) if name}
        text = english.replace(":text}", "}").format(**filled)
        alone = find_chinese(text) if " " in text else None
        if alone and not prose.search(alone) and " " not in english.partition("}")[0]:
            said = find_chinese(f"unsupported: {text}") or ""
            if prose.search(_COMMAND.sub("", said)):
                mixed[text] = said
    assert mixed == {}


@pytest.mark.parametrize(
    "text",
    [
        "'NativeInt8Linear' object has no attribute 'weight'",
        "the frobnicator is not of the kind that we like",
        "some odd thing, no connection",
    ],
)
def test_a_sentence_of_others_stays_whole(text: str) -> None:
    assert translate(text, "zh") == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("one (one, 1 questions)", "one (one, 1 question)"),
        ("1 answers are checked by program", "1 answer is checked by program"),
        ("1/1 files, 21 tokens", "1/1 files, 21 tokens"),
        ("http://127.0.0.1 answers", "http://127.0.0.1 answers"),
    ],
)
def test_one_thing_is_not_told_as_several(text: str, said: str) -> None:
    assert translate(text, "en") == said
