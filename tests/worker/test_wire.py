"""What a worker tells goes out in order, tokens a few at a time."""

import socket
from collections.abc import Iterator

import pytest

from tui.events import Answered, Delta, Started
from tui.worker.process.loop import Worker
from tui.worker.process.wire import Channel
from tui.worker_protocol import decode_report


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with theirs:
        yield Channel(ours.detach()), theirs


def read(end: socket.socket) -> list[object]:
    try:
        lines = end.recv(1 << 20).splitlines()
    except BlockingIOError:
        return []
    return [decode_report(line)[1] for line in lines]


def test_tokens_are_held_until_their_time_or_until_something_else_is_told(
    ends: tuple[Channel, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, end = ends
    now = 100.0
    monkeypatch.setattr("tui.worker.process.wire.time.monotonic", lambda: now)
    worker = Worker(channel, 0.0)
    began, first, second, third = Started(1, 3, 0, 2, 1), *(Delta(1, 1, t) for t in "abc")
    ended = Answered(1, "stop")
    worker._send_events([(1, began)])
    assert read(end) == [began]
    worker._send_events([(2, first)])
    now += 0.03
    worker._send_events([(3, second)])
    assert read(end) == []
    now += 0.04
    worker._send_events([])
    assert read(end) == [first, second]
    worker._send_events([(4, third), (5, ended)])
    assert read(end) == [third, ended]
