"""Files that others wrote: any content gives values, or one line that names the file."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as how
from hypothesis import strategies as st

from tui import settings
from tui.host import paths
from tui.host.errors import UserError
from tui.questions.question_set import QuestionSet
from tui.questions.readers import read

TOML = (
    'seed = 1\nlang = "zh"\ntop_p = 0.5\nmouse = true\ndimensions = ["a", {id = "b", en = "c"}]\n'
    '[aliases]\nq = "./Qwen"\n[keys]\n"app.quit" = "x"\n'
    '[services.s]\nbase_url = "http://localhost:1/v1"\n'
)
SETS = {
    ".toml": 'name = "n"\n[[question]]\nid = "a"\ntext = "x"\n[[question]]\nturns = ["y", "z"]\n',
    ".jsonl": '{"id": "a", "turns": ["x", "y"], "checks": [{"contains": "z"}]}\n'
    '{"question_id": 81, "category": "w", "turns": ["a"], "reference": ["r"]}\n',
    ".txt": "one\ntwo\n",
    ".csv": "id,question,A,B,answer\n1,x,y,z,B\n2,y,,,\n",
    ".json": '{"variables": {"a": ["b"]}, "data": [{"query": "{a}", "response": "y"}, '
    '{"messages": [{"role": "user", "content": "x"}]}]}',
    ".yaml": "prompts: ['{{a}}']\ntests:\n- vars: {a: [b, c]}\n"
    "  assert: [{type: equals, value: d}]\n",
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


def changed(text: str) -> st.SearchStrategy[bytes]:
    """``text`` with a piece of it exchanged, or anything at all."""
    data = text.encode()
    ends = st.tuples(st.integers(0, len(data)), st.integers(0, 30))
    pieces = st.binary(max_size=20) | st.text(max_size=12).map(
        lambda t: t.encode("utf-8", "replace")
    )
    return st.one_of(
        st.binary(max_size=200),
        st.builds(lambda at, put: data[: at[0]] + put + data[at[0] + at[1] :], ends, pieces),
    )


def one_line(error: UserError, path: Path) -> None:
    assert error.message.startswith(f"{path}:") and "\n" not in error.message


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("others")


@how(max_examples=400, deadline=None)
@given(changed(TOML))
@example(TOML.encode())
@example(b"\xff")
def test_any_settings_file(folder: Path, data: bytes) -> None:
    mine, theirs = paths.config_dir() / settings.FILE_NAME, folder / settings.FILE_NAME
    theirs.unlink(missing_ok=True)
    mine.write_bytes(data)
    try:
        found = settings.load({}, folder, {})
    except UserError as error:
        one_line(error, mine)
    else:
        json.dumps(found.run.header(), allow_nan=False)
    mine.unlink()
    theirs.write_bytes(data)
    found = settings.load({}, folder, {})  # a stranger's file stops nothing
    json.dumps(found.run.header(), allow_nan=False)
    assert "\n" not in str(found.folder_file)


@how(max_examples=600, deadline=None)
@given(st.sampled_from(sorted(SETS)).flatmap(lambda s: st.tuples(st.just(s), changed(SETS[s]))))
def test_any_question_set(folder: Path, case: tuple[str, bytes]) -> None:
    suffix, data = case
    path = folder / f"set{suffix}"
    path.write_bytes(data)
    try:
        found = read(path)
    except UserError as error:
        one_line(error, path)
    else:
        again = QuestionSet.from_json(json.loads(json.dumps(found.to_json())))
        assert again.questions == found.questions


@how(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(("id", "turns", "text", "system", "checks")), VALUES))
def test_any_question_of_the_right_format(folder: Path, row: dict[str, Any]) -> None:
    path = folder / "row.jsonl"
    path.write_text(json.dumps(row))
    try:
        assert len(read(path).questions) == 1
    except UserError as error:
        one_line(error, path)
