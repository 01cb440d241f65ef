"""Full-text search over sessions. The index is a cache.

SQLite's FTS5 (standard library). Its tokenizer takes a run of Chinese characters for one
word; here each such character is a word of its own and a query for several is a phrase,
so that any part of a sentence is found. Other words are found by their beginnings.
"""

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tui import board as board_of
from tui.host import paths
from tui.host.errors import UserError
from tui.sessions import library, reader, storage

_SCHEMA = 2
_TABLES = """
create table files (id integer primary key, path text unique, size int, changed int);
create virtual table texts using fts5
  (body, file unindexed, question unindexed, label unindexed, tokenize = 'unicode61');
"""
# Scripts written without spaces: kana, Han with its extensions, Thai to Burmese.
_UNSPACED = "\u0e00-\u109f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CHARACTER = re.compile(f"([{_UNSPACED}])")
_WORD = re.compile(rf"[{_UNSPACED}]+|[^\W_{_UNSPACED}]+")
_SPACED = re.compile(f" ?([{_UNSPACED}]) ?")


@dataclass(frozen=True, slots=True)
class SearchHit:
    """Where a text was found: the session, the question's id and the model's label ("" in
    the title or the question itself), and the place with some words around it."""

    path: Path
    question: str
    label: str
    excerpt: str


class SearchIndex:
    """The index of a folder's sessions. Not for use from several threads at once."""

    def __init__(self, folder: Path) -> None:
        """Open the index, which lies in the cache folder; a broken one is made anew."""
        self._folder = folder
        self._file = paths.cache_dir() / f"search-{storage.folder_hash(folder)}.sqlite"
        try:
            self._db = self._open()
        except sqlite3.DatabaseError:
            with contextlib.suppress(OSError):
                self._file.unlink()
            try:
                self._db = self._open()
            except sqlite3.DatabaseError:
                self._db = sqlite3.connect(":memory:")
                self._db.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def update(self, progress: Callable[[int, int], None] = lambda done, of: None) -> int:
        """Read what is new or changed, forget what is gone; how many were read.

        ``progress`` is told how many of all that have to be read are done, and may end it by
        an exception: what was read until then stays. A file that cannot be read is left out.
        """
        present = dict(_stamps(library.session_files(self._folder)))
        known = {
            path: (id_, (size, changed))
            for id_, path, size, changed in self._db.execute("select * from files")
        }
        for path, (id_, stamp) in known.items():
            if present.get(path) != stamp:
                self._forget(id_)
        stale = [p for p, stamp in present.items() if known.get(p, (0, None))[1] != stamp]
        stale.sort(reverse=True)  # the newest are looked for most
        for done, path in enumerate(stale):
            progress(done, len(stale))
            with self._db:
                self._add(path, present[path])
        if stale:
            progress(len(stale), len(stale))
        self._db.commit()
        return len(stale)

    def search(self, text: str, limit: int = 200) -> list[SearchHit]:
        """Where all words of ``text`` stand together, the best places first."""
        words = _WORD.findall(text)
        if not words:
            return []
        phrases = ['"' + _CHARACTER.sub(r" \1 ", word).strip() + '"' for word in words]
        found = self._db.execute(
            "select path, question, label, snippet(texts, 0, '', '', '…', 24) from texts "
            "join files on files.id = texts.file where texts match ? order by rank limit ?",
            (" ".join(phrases) + "*", limit),
        )
        return [
            SearchHit(Path(path), question, label, " ".join(_SPACED.sub(r"\1", excerpt).split()))
            for path, question, label, excerpt in found
        ]

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._file, timeout=2)
        try:
            (version,) = db.execute("pragma user_version").fetchone()
            if version != _SCHEMA:
                db.executescript(
                    "drop table if exists files; drop table if exists texts;"
                    f"{_TABLES} pragma user_version = {_SCHEMA};"
                )
            db.execute("select count(*) from files").fetchone()
            # A cache: what a power failure loses is built again.
            db.execute("pragma synchronous = off")
        except sqlite3.DatabaseError:
            db.close()
            raise
        self._file.chmod(0o600)
        return db

    def _forget(self, id_: int) -> None:
        self._db.execute("delete from texts where file = ?", (id_,))
        self._db.execute("delete from files where id = ?", (id_,))

    def _add(self, path: str, stamp: tuple[int, int]) -> None:
        try:
            board = board_of.fold(reader.read(Path(path)).events)
        except UserError:
            board = board_of.Board()
        (id_,) = self._db.execute(
            "insert into files (path, size, changed) values (?, ?, ?) returning id", (path, *stamp)
        ).fetchone()
        self._db.executemany(
            "insert into texts (body, file, question, label) values (?, ?, ?, ?)",
            ((_CHARACTER.sub(r" \1 ", body), id_, *place) for body, *place in _texts(board)),
        )


def _stamps(files: Iterable[Path]) -> Iterator[tuple[str, tuple[int, int]]]:
    for path in files:
        try:
            info = path.stat()
        except OSError:
            continue
        yield str(path.absolute()), (info.st_size, info.st_mtime_ns)


def _texts(board: board_of.Board) -> Iterator[tuple[str, str, str]]:
    """(text, question, label) of everything a person may look for."""
    if board.header is not None:
        names = " ".join(f"{model.label} {model.name}" for model in board.models)
        set_ = board.header.questions
        yield f"{board.title} {set_.get('title', '')} {set_.get('name', '')} {names}", "", ""
    for question in board.questions:
        yield " ".join((question.category, *question.turns)), question.id, ""
    for answer in board.answers.values():
        yield answer.text, answer.question, board.models[answer.model].label
