"""A file that is executed is opened only if nobody but the user can have written it."""

import os
from pathlib import Path

import pytest

from tui.host.owned_file import NotOwnedError, open_owned_file, open_owned_folder

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir(mode=0o700)
    (made / "file").write_bytes(b"x")
    (made / "file").chmod(0o755)
    return made


def opened(folder: Path, name: str = "file") -> bytes:
    folder_fd = open_owned_folder(folder)
    try:
        fd = open_owned_file(folder_fd, name)
    finally:
        os.close(folder_fd)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def test_what_is_the_users_own_is_opened_through_a_link_to_its_folder_too(folder: Path) -> None:
    assert opened(folder) == b"x"
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert opened(link) == b"x"


@pytest.mark.parametrize("bits", [0o020, 0o002])
def test_what_others_can_write_to_is_refused(folder: Path, bits: int) -> None:
    (folder / "file").chmod(0o700 | bits)
    with pytest.raises(NotOwnedError, match="others can write to file"):
        opened(folder)
    (folder / "file").chmod(0o700)
    folder.chmod(0o700 | bits)
    with pytest.raises(NotOwnedError, match=f"others can write to {folder}"):
        opened(folder)


@needs_root
def test_what_is_anothers_is_refused(folder: Path) -> None:
    os.chown(folder / "file", 12345, 12345)
    with pytest.raises(NotOwnedError, match="file belongs to another user"):
        opened(folder)
    os.chown(folder, 12345, 12345)
    with pytest.raises(NotOwnedError, match=f"{folder} belongs to another user"):
        opened(folder)


def test_a_link_a_pipe_and_a_folder_are_no_files(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "file")
    os.mkfifo(folder / "pipe", 0o700)
    (folder / "inner").mkdir(mode=0o700)
    with pytest.raises(OSError, match=r"[Ss]ymbolic"):
        opened(folder, "link")
    for name in ("pipe", "inner"):
        with pytest.raises(NotOwnedError, match=f"{name} is no file"):
            opened(folder, name)
