"""Search: any part of a Chinese sentence, the beginning of any word; only a cache."""

import sqlite3
from pathlib import Path

import pytest

from benchmarks.support.sessions import HEADER, write_session
from tui import events as ev
from tui.sessions.journal import Journal
from tui.sessions.search import SearchHit, SearchIndex


def say(folder: Path, text: str) -> Path:
    journal = Journal.create(folder, HEADER)
    journal.append(0, 0, ev.Asked(0, "q1", "Is water wet?"))
    for char in text:
        journal.append(1, 0, ev.Delta(0, text=char))
    journal.append(2, 0, ev.Answered(0, "stop"))
    journal.close("done")
    return journal.path


@pytest.fixture
def index(tmp_path: Path) -> SearchIndex:
    return SearchIndex(tmp_path)


def test_words_are_found_by_their_beginning_and_chinese_by_any_part(
    tmp_path: Path, index: SearchIndex
) -> None:
    path = say(tmp_path, "The Yangtze flows past 上海市杨浦区四平路1239号 quietly.")
    index.update()
    for text in ("yang", "Yangtze flo", "杨浦区", "浦区四", "四平路1239", "上海 quiet", "1239号"):
        (hit,) = index.search(text)
        assert (hit.path, hit.question, hit.label) == (path, "q1", "demo@bf16"), text
    for text in ("angtze", "上海区", "区浦", "nothing"):
        assert index.search(text) == []
    assert "past 上海市杨浦区四平路1239号 quietly." in index.search("杨浦")[0].excerpt


def test_titles_models_and_questions_are_found(tmp_path: Path, index: SearchIndex) -> None:
    path = write_session(tmp_path)
    index.update()
    assert index.search("两个问题")[0].question == ""
    assert index.search("fp32")[0].path == path
    assert [(h.question, h.label) for h in index.search("同济大学")] == [("q2", "")]


@pytest.mark.parametrize("text", ["", "  ", '"', "*", "AND", "a OR", "(", "NEAR(", "x:y", "-", "'"])
def test_a_query_is_never_syntax(tmp_path: Path, index: SearchIndex, text: str) -> None:
    say(tmp_path, "and or near x y")
    index.update()
    assert all(isinstance(hit, SearchHit) for hit in index.search(text))


def test_only_what_changed_is_read_again(tmp_path: Path, index: SearchIndex) -> None:
    paths = [say(tmp_path, f"number {word}") for word in ("one", "two", "three")]
    seen: list[tuple[int, int]] = []
    assert index.update(lambda *at: seen.append(at)) == 3
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert index.update() == 0
    journal = Journal.reopen(paths[0])
    journal.append(5, 0, ev.Asked(7, "free", "a later zebra"))
    journal.close("done")
    assert index.update() == 1
    assert index.search("zebra")[0].path == paths[0]
    assert len(index.search("number")) == 3
    paths[1].unlink()
    assert index.update() == 0
    assert {hit.path for hit in index.search("number")} == {paths[0], paths[2]}


def test_reading_can_be_ended_and_goes_on_with_the_rest(tmp_path: Path, index: SearchIndex) -> None:
    paths = sorted(say(tmp_path, "needle") for _ in range(4))
    found: list[list[Path]] = []

    class Enough(Exception):
        pass

    def progress(done: int, of: int) -> None:
        found.append([hit.path for hit in index.search("needle")])
        if done == 2:
            raise Enough

    with pytest.raises(Enough):
        index.update(progress)
    assert list(map(len, found)) == [0, 1, 2], "what was read is found while the rest is read"
    assert set(found[-1]) == set(paths[2:]), "the newest first"
    assert index.update() == 2
    assert len(index.search("needle")) == 4


def test_a_missing_broken_or_older_index_is_made_anew(tmp_path: Path) -> None:
    path = say(tmp_path, "needle")
    SearchIndex(tmp_path).close()
    (file,) = (tmp_path / "duibi-cache").glob("*.sqlite")
    for break_ in (
        lambda: None,
        file.unlink,
        lambda: file.write_bytes(b"no database" * 1000),
        lambda: file.write_bytes(file.read_bytes()[:5000]),
        lambda: sqlite3.connect(file).execute("pragma user_version = 99").connection.close(),
    ):
        break_()
        index = SearchIndex(tmp_path)
        index.update()
        assert [hit.path for hit in index.search("needle")] == [path]
        index.close()


def test_a_file_that_is_no_session_is_left_out(tmp_path: Path, index: SearchIndex) -> None:
    bad = tmp_path / "bad.duibi"
    bad.write_bytes(b"needle")
    say(tmp_path, "needle")
    index.update()
    assert len(index.search("needle")) == 1


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    say(tmp_path, "secret")
    index = SearchIndex(tmp_path)
    index.update()
    index.close()
    (file,) = (tmp_path / "duibi-cache").glob("*.sqlite")
    assert file.stat().st_mode & 0o077 == 0
