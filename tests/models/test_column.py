"""Columns as a person writes them."""

from pathlib import Path

import pytest

from tui.host.errors import UserError
from tui.models.column import (
    MOST_COLUMNS,
    check_settings,
    column_labels,
    read_settings,
    split_column,
    vary,
    write_settings,
)
from tui.models.reference import parse_reference
from tui.models.typed import read_typed


@pytest.mark.parametrize(
    ("text", "label", "model", "settings"),
    [
        ("demo", "", "demo", {}),
        ("demo@int8?temperature=0.7", "", "demo@int8", {"temperature": "0.7"}),
        ("cold=./m?top-p=0.9&seed=3", "cold", "./m", {"top_p": "0.9", "seed": "3"}),
        ("openai:gpt-4o?name=warm&temperature=1", "warm", "openai:gpt-4o", {"temperature": "1"}),
        ("http://h:1/v1?key=a#qwen?seed=1", "", "http://h:1/v1?key=a#qwen", {"seed": "1"}),
        ("http://h:1/v1?key=a", "", "http://h:1/v1?key=a", {}),
        ("./what?.gguf", "", "./what?.gguf", {}),
        ("session:a.duibi#x?seed=1", "", "session:a.duibi#x?seed=1", {}),
        ("demo?system=a%26b c", "", "demo", {"system": "a&b c"}),
    ],
)
def test_a_column_is_a_model_and_settings(
    text: str, label: str, model: str, settings: dict[str, str]
) -> None:
    found = split_column(text)
    assert (found.label, found.model, found.settings) == (label, model, settings)


def test_what_a_column_cannot_have_is_named() -> None:
    with pytest.raises(UserError, match="no setting 'temprature'") as error:
        split_column("demo?temprature=1")
    assert "did you mean temperature?" in error.value.next_step
    with pytest.raises(UserError, match="twice"):
        split_column("demo?seed=1&seed=2")
    with pytest.raises(UserError, match="temperature=hot"):
        read_settings({"temperature": "hot"})
    with pytest.raises(UserError, match="no setting 'context'"):
        check_settings({"context": 128})
    with pytest.raises(UserError, match="have no meaning here"):
        parse_reference("demo?temperature=1")


def test_values_have_their_types_and_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "teacher.txt").write_text("You teach.\n")
    given = {"temperature": "0", "seed": "7", "system": f"file:{tmp_path}/teacher.txt"}
    values = read_settings(given)
    assert values == {"temperature": 0.0, "seed": 7, "system": "You teach."}
    assert split_column(f"demo?{write_settings(values)}").settings == {
        "temperature": "0", "seed": "7", "system": "You teach.",
    }  # fmt: skip
    assert write_settings({"sampling": "model", "seed": 7}) == "seed=7", (
        "what is usual is not asked"
    )
    with pytest.raises(UserError, match="nowhere"):
        read_settings({"system": "file:/nowhere"})


def test_values_vary_over_all_models() -> None:
    made = vary(["demo", "./m?seed=1"], ["temperature=0,0.7", "system=a.txt,b.txt"])
    assert len(made) == 8
    assert made[1] == "demo?temperature=0&system=file:b.txt"
    assert made[4] == "./m?seed=1&temperature=0&system=file:a.txt"
    assert vary(["demo"], []) == ["demo"]
    with pytest.raises(UserError, match="lists no values"):
        vary(["demo"], ["temperature"])
    with pytest.raises(UserError, match="no setting 'colour'"):
        vary(["demo"], ["colour=red"])
    with pytest.raises(UserError, match=str(MOST_COLUMNS + 1)):
        vary(["demo"], [f"seed={','.join(map(str, range(MOST_COLUMNS + 1)))}"])


def test_a_heading_names_what_differs() -> None:
    same = {"seed": 1}
    assert column_labels(["a", "a", "b"], [{"temperature": 0.7, **same}, same, same]) == [
        "a temperature=0.7", "a", "b seed=1",
    ]  # fmt: skip


def test_typed_text_keeps_its_settings() -> None:
    assert read_typed("qwen/Qwen-7B-Chat?seed=1") == "ms:qwen/Qwen-7B-Chat?seed=1"
