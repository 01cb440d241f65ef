"""Shortened names stay as different as the names are."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.app.pane.short_names import short_names

CODERS = ("qwen2.5-coder-0.5b-instruct-q4_k_m", "qwen2.5-coder-1.5b-instruct-q4_k_m")


def test_names_that_differ_in_their_middle_are_shown_from_there() -> None:
    for cells in (12, 16, 20, 24, 30):
        one, two = short_names(CODERS, cells)
        assert "0.5b" in one and "1.5b" in two and max(map(cell_len, (one, two))) <= cells


def test_others_are_cut_in_their_middle() -> None:
    assert short_names(("Qwen-7B-Chat@int4", "Qwen-7B-Chat@bf16"), 12) == (
        *("Qwen-…t@int4", "Qwen-…t@bf16"),
    )
    assert short_names(("demo", "demo"), 12) == ("demo", "demo")


@given(
    st.lists(st.text("ab7.-文", min_size=1, max_size=14), min_size=2, max_size=4),
    st.text("ab-", max_size=20),
    st.text("ab-", max_size=20),
    st.integers(8, 30),
)
def test_they_fit_whatever_they_are(cores: list[str], start: str, end: str, cells: int) -> None:
    names = tuple(f"{start}{core}{end}" for core in cores)
    short = short_names(names, cells)
    assert all(cell_len(one) <= cells for one in short)
    assert all(one == name for one, name in zip(short, names, strict=True) if cell_len(name) < 5)
