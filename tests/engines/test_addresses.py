"""One model behind several addresses: who is asked, and what becomes of one that is lost."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from benchmarks.support.fault_server import FaultServer, Received, Reply, good_answer, hang_up
from tests.support.endpoints import (
    clear_proxies,
    collect_events,
    free_port,
    load_engine,
    request,
    service_at,
)
from tui.board import fold
from tui.cli import run_command_line as run
from tui.engines.base import EngineError
from tui.engines.endpoint import EndpointEngine
from tui.engines.limiter import Limiter, Place
from tui.events import Answered, Failed, Note
from tui.host import paths
from tui.host.errors import UserError
from tui.models.reference import parse_reference
from tui.services import find_service, split_addresses
from tui.sessions import reader


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clear_proxies(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DUIBI_API_KEY", raising=False)


def engine_of(*urls: str, limiter: Limiter | None = None) -> EndpointEngine:
    service = service_at(urls[0], other_base_urls=urls[1:])
    return EndpointEngine(service, "m", limiter, environ={}, first_backoff_s=0.02)


def break_off(reply: Reply, received: Received) -> None:
    """Half an answer."""
    reply.head()
    reply.token("half")
    hang_up(reply)


async def taken(limiter: Limiter, count: int) -> list[str]:
    return [(await asyncio.wait_for(limiter.take(), 60)).url for _ in range(count)]


# -- whose turn it is ----------------------------------------------------------------------------


async def test_the_least_busy_address_is_next() -> None:
    limiter = Limiter(2, urls=("a", "b", "c"))
    assert sorted(await taken(limiter, 3)) == ["a", "b", "c"]
    limiter.give_back(limiter.places[1])
    assert (await limiter.take()).url == "b"
    assert sorted(await taken(limiter, 3)) == ["a", "b", "c"]
    waiting = asyncio.create_task(limiter.take())
    await asyncio.sleep(0)
    limiter.give_back(limiter.places[2])
    assert (await asyncio.wait_for(waiting, 60)).url == "c"


async def test_a_lost_address_is_left_and_asked_again_one_request_at_a_time() -> None:
    limiter = Limiter(2, urls=("a", "b"))
    lost = limiter.places[0]
    limiter.leave(lost)
    assert await taken(limiter, 2) == ["b", "b"] and limiter.has_other(lost)
    lost.rests_until = time.monotonic() + 0.05
    waiting = [asyncio.create_task(limiter.take()) for _ in range(2)]
    done, open_ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=60)
    assert [task.result().url for task in done] == ["a"] and len(open_) == 1
    limiter.succeeded(lost)  # it is back: as many as it had
    assert (await asyncio.wait_for(open_.pop(), 60)).url == "a"


def answers(limiter: Limiter, place: Place, waits_s: list[float]) -> list[int]:
    limits = []
    for wait in waits_s:
        limiter.succeeded(place, wait)
        limits.append(place.limit)
    return limits


def test_the_limit_grows_to_what_the_server_takes_and_shrinks_where_it_waits() -> None:
    limiter = Limiter(2, most=8)
    (place,) = limiter.places
    assert answers(limiter, place, [0.1] * 33)[-1] == 8
    limits = answers(limiter, place, [0.9] * 30)
    assert limits[-1] < 5 and min(limits) >= 2
    limiter.slow_down(place, 0.0)
    limiter.slow_down(place, 0.0)
    limiter.slow_down(place, 0.0)
    assert place.limit == 1
    assert answers(limiter, place, [0.1])[-1] == 2


# -- what is typed -------------------------------------------------------------------------------


def test_addresses_stand_with_commas_between() -> None:
    text = "http://box1:8000/v1,box2:8000,https://box3/api/v1#owner/m"
    service, model = find_service(parse_reference(text).target)
    assert service.base_urls == (
        *("http://box1:8000/v1", "http://box2:8000/v1", "https://box3/api/v1"),
    )
    assert model == "owner/m" and not service.is_loopback
    assert split_addresses("http://a/v1,http://a/v1") == ["http://a/v1"]
    for wrong in ("http://a/v1,#m", "http://a/v1,http://u:p@b/v1#m", "http://a/v1,b/v1"):
        with pytest.raises(UserError):
            parse_reference(wrong)
    with pytest.raises(EngineError, match="nothing listens"):
        load_engine(engine_of(*(f"http://127.0.0.1:{free_port()}/v1" for _ in range(2))))


# -- what happens --------------------------------------------------------------------------------


def test_both_get_their_share_and_a_dead_one_costs_no_answer() -> None:
    def slow(reply: Reply, received: Received) -> None:
        time.sleep(0.02)
        good_answer("x", "y")(reply, received)

    dead = f"http://127.0.0.1:{free_port()}/v1"
    with FaultServer(slow) as one, FaultServer(slow) as two:
        engine = engine_of(dead, one.url, two.url)
        loaded = load_engine(engine)
        assert any("left out for now: nothing listens" in note for note in loaded.notes)
        bodies = [b for _, b in collect_events(engine, *(request(i) for i in range(60)))]
        assert one.asked + two.asked == 60 and min(one.asked, two.asked) >= 20
    assert sum(isinstance(b, Answered) for b in bodies) == 60


def test_one_that_dies_in_mid_run_loses_no_answer() -> None:
    def dying(reply: Reply, received: Received) -> None:
        (hang_up(reply) if received.number >= 5 else good_answer("x")(reply, received))

    with FaultServer(dying) as one, FaultServer(good_answer("x")) as two:
        bodies = [
            b for _, b in collect_events(engine_of(one.url, two.url), *map(request, range(80)))
        ]
        assert two.asked == 75
    assert sum(isinstance(b, Answered) for b in bodies) == 80
    assert not any(isinstance(b, Failed) for b in bodies)
    moved = [b for b in bodies if isinstance(b, Note)]
    assert moved and all("asking another address" in note.text for note in moved)


def test_an_answer_that_breaks_off_is_asked_of_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("many.txt").write_text("".join(f"{n}?\n" for n in range(30)))
    with FaultServer(break_off) as one, FaultServer(good_answer("whole")) as two:
        model = f"{one.url},127.0.0.1:{two.port}#m"
        code = run(["run", model, "--questions", "many.txt", "--concurrency", "2", "--json"])
        broken = one.asked
        assert two.asked == 30 and broken > 0
    assert code == 0
    (made,) = json.loads(capsys.readouterr().out)["models"]
    assert [a["text"] for a in made["answers"]] == ["whole"] * 30
    (path,) = paths.sessions_dir().glob("*.duibi")
    board = fold(reader.read(path).events)
    assert len(board.answers) == 30 + broken
    assert sum(a.failure is not None for a in board.answers.values()) == broken


def test_an_answer_that_breaks_off_behind_a_balancer_is_asked_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def balancing(reply: Reply, received: Received) -> None:
        (break_off if received.number == 3 else good_answer("whole"))(reply, received)

    Path("many.txt").write_text("".join(f"{n}?\n" for n in range(12)))
    with FaultServer(balancing) as one:
        code = run(["run", f"{one.url}#m", "--questions", "many.txt", "--json"])
        assert one.asked == 13
    assert code == 0
    (made,) = json.loads(capsys.readouterr().out)["models"]
    assert [a["text"] for a in made["answers"]] == ["whole"] * 12


def test_a_server_that_only_breaks_off_is_not_asked_for_ever(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with FaultServer(break_off) as one:
        Path("one.txt").write_text("1?\n")
        code = run(["run", f"{one.url}#m", "--questions", "one.txt", "--json"])
        assert one.asked == 1
    assert code == 3
