import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.app.pane import wrapping
from tui.app.pane.wrapping import WrappedText, clip, wrap_line

TEXT = st.text(alphabet="ab  \n\t,.（）“”，。逻辑推理甲乙丙👩‍👧❤️é", max_size=200)


@given(TEXT, st.integers(min_value=6, max_value=40), st.data())
def test_appending_in_pieces_gives_the_rows_of_the_whole(
    text: str, width: int, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    grown = WrappedText(width)
    for piece in pieces:
        grown.append(piece)
    assert grown.rows == (WrappedText(width, text).rows or grown.rows)


@given(TEXT, st.integers(min_value=6, max_value=40))
def test_rows_fit_and_nothing_but_spaces_is_lost(text: str, width: int) -> None:
    rows = WrappedText(width, text).rows
    assert all(cell_len(row.rstrip(" ")) <= width for row in rows)
    kept = "".join(rows).replace(" ", "")
    assert kept == text.replace("\n", "").replace("\t", "").replace(" ", "")


def test_words_stay_whole_and_the_space_at_a_break_is_dropped() -> None:
    assert wrap_line("the quick brown fox", 10) == ["the quick", "brown fox"]
    assert wrap_line("unbreakablelongword", 8) == ["unbreaka", "blelongw", "ord"]
    assert wrap_line("", 8) == [""]


def test_a_word_that_grows_moves_whole_to_the_next_row() -> None:
    wrapped = WrappedText(10, "hello wor")
    assert wrapped.append("ldly") == 0
    assert wrapped.rows == ["hello", "worldly"]


def test_chinese_breaks_anywhere_but_not_before_closing_punctuation() -> None:
    assert wrap_line("逻辑推理题目", 8) == ["逻辑推理", "题目"]
    assert wrap_line("逻辑推理，题目", 8) == ["逻辑推", "理，题目"]
    assert wrap_line("逻辑推（理题目）", 8) == ["逻辑推", "（理题", "目）"]


def test_a_run_of_punctuation_leaves_no_row_almost_empty() -> None:
    assert wrap_line("如何" + "！" * 9, 8) == ["如何！！", "！！！！", "！！！"]


def test_a_single_character_is_not_left_alone_where_nothing_follows() -> None:
    row = "逻辑推理题。"
    assert [row[a:b] for a, b in wrapping.wrap_spans(row, 8)] == ["逻辑推理", "题。"]
    whole = [row[a:b] for a, b in wrapping.wrap_spans(row, 8, is_whole=True)]
    assert whole == ["逻辑推", "理题。"]


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("Qwen2.5-0.5B-Instruct", 12, "Qwen2…struct"),
        ("short", 12, "short"),
        ("逻辑推理题目", 8, "逻…题目"),
    ],
)
def test_names_are_cut_in_their_middle(text: str, width: int, expected: str) -> None:
    assert wrapping.clip_middle(text, width) == expected


def test_a_long_name_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []

    def counted(text: str) -> int:
        measured.append(len(text))
        return cell_len(text)

    monkeypatch.setattr(wrapping, "cell_len", counted)
    assert wrapping.clip_middle("a" * 100_000 + "z", 9) == "aaaa…aaaz"
    assert sum(measured) < 200_000


def test_indentation_of_code_is_kept() -> None:
    assert WrappedText(20, "def f():\n\treturn 1").rows == ["def f():", "    return 1"]


def test_cost_of_a_piece_does_not_grow_with_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    characters = 0

    def counted(line: str, width: int) -> list[str]:
        nonlocal characters
        characters += len(line)
        return wrap_line(line, width)

    monkeypatch.setattr(wrapping, "wrap_line", counted)
    wrapped = WrappedText(40)
    for _ in range(40):
        wrapped.append("word 逻辑 " * 500)
    characters = 0
    for _ in range(500):
        wrapped.append("word 逻辑 ")
    assert characters <= 500 * 50, "only the last row is wrapped again"


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [("hello", 5, "hello"), ("hello there", 6, "hello…"), ("逻辑推理", 6, "逻辑…"), ("abc", 0, "")],
)
def test_clip(text: str, width: int, expected: str) -> None:
    assert clip(text, width) == expected


@pytest.mark.parametrize("piece", ["x", "语", "word 词 "])
def test_a_very_long_line_is_wrapped_piece_by_piece(piece: str) -> None:
    line = piece * (300_000 // len(piece))
    spans = wrapping.wrap_spans(line, 10)
    assert spans[0][0] == 0 and spans[-1][1] == len(line)
    assert all(cell_len(line[start:end]) <= 10 for start, end in spans[:1000])
    assert spans[:50] == wrapping.wrap_spans(line[:2000], 10)[:50]


def test_letters_after_a_long_text_do_not_change_its_rows() -> None:
    line = "some words (and more ) of plain text " * 20
    mixed = wrapping.wrap_spans(line + "语", 20)
    assert mixed[0] == wrapping.wrap_spans("some words (and more ) of语", 20)[0]
