"""Files of others: only ordinary ones are read, only up to a size, text only as UTF-8."""

import os
import socket
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tui.host import foreign_files, toml_file
from tui.host.errors import UserError


def a_socket(path: Path) -> None:
    os.chdir(path.parent)  # a socket's address has at most 107 bytes
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)


SPECIAL: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a socket": a_socket,
    "a folder": Path.mkdir,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "larger than": lambda path: path.open("wb").truncate(1 << 40),
}
"""What can lie in the place of a file, by what is said of it; nobody writes into the pipe."""


@pytest.mark.parametrize("said", SPECIAL)
def test_what_is_no_file_is_refused_at_once(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file"
    SPECIAL[said](path)
    with pytest.raises(UserError, match=f"^{path}: {said}") as refused:
        foreign_files.read_text(path, 1 << 20, "name another one")
    assert refused.value.next_step == "name another one"


def test_a_file_that_tells_no_size_is_read_and_one_without_end_is_not() -> None:
    assert foreign_files.read_bytes(Path("/proc/self/status"), 1 << 16).startswith(b"Name:")
    with pytest.raises(OSError, match="larger than 1 KiB"):
        foreign_files.read_bytes(Path("/proc/self/status"), 1 << 10)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"\xff", 1),
        (b"one\ntwo\n\xff", 3),
        (b"\xef\xbb\xbfa\nb\xff", 2),
        (b"\xef\xbb\xbf\n\xff", 2),
    ],
)
def test_a_byte_that_is_not_utf_8_is_told_with_its_line(
    data: bytes, line: int, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(UserError, match=f"^{path}:{line}: not UTF-8"):
        foreign_files.read_text(path, 1 << 20, "")


TOML = '''\
seed = 1
text = """
[not_a_table]
fake = 1
"""
list = [
  "a = 1", # [x]
  ["b"],
]
[aliases]
"my model" = "./m"
a.b = 2
[[question]]
id = "1"
[[question]]
id = "2"
[question.more]
deep = { inner = 1 }
'''


def test_the_line_of_every_key(tmp_path: Path) -> None:
    path = tmp_path / "file.toml"
    path.write_text(TOML)
    read = toml_file.read_toml(path, 1 << 20, "")
    assert read.table == tomllib.loads(TOML)
    wanted = {
        ("seed",): 1,
        ("text",): 2,
        ("list",): 6,
        ("aliases",): 10,
        ("aliases", "my model"): 11,
        ("aliases", "a", "b"): 12,
        ("question", 0): 13,
        ("question", 1, "id"): 16,
        ("question", 1, "more", "deep", "inner"): 18,
        ("question", 1, "nothing"): 15,
    }
    assert {keys: read.place(*keys) for keys in wanted} == {
        keys: f"{path}:{line}" for keys, line in wanted.items()
    }
    assert read.place("not_a_table") == str(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\nb = ", ":2: not TOML"),
        ("a = " + "9" * 5000, ": not TOML: a number of too many digits"),
        ("a = " + "[" * 100_000, ": not TOML: nested too deep"),
        ("a = 1\n" + ".".join("b" * 20_000) + " = 1", ":2: a key of more than 64 parts"),
        ("a = {" + ".".join(["'b'"] * 20_000) + " = 1}", ":1: a key of more than 64 parts"),
        ("[" + " . ".join("b" * 20_000) + "]\na.b = 1", ":1: a key of more than 64 parts"),
    ],
    ids=["end", "digits", "nested", "key", "inline", "heading"],
)
def test_what_is_no_toml_is_told_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "file.toml"
    path.write_text(text)
    with pytest.raises(UserError) as refused:
        toml_file.read_toml(path, 1 << 20, "mend it")
    assert refused.value.message.startswith(f"{path}{said}")
