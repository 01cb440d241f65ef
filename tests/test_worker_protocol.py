"""Orders and reports arrive as they were sent; what is none is refused."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tui.events import Delta, Loaded
from tui.worker_protocol import (
    Alive,
    AnswerOrder,
    CancelOrder,
    CloseOrder,
    DecodeRequest,
    LoadOrder,
    Order,
    ProtocolError,
    ThreadsOrder,
    decode_order,
    decode_report,
    encode_order,
    encode_report,
)

REQUEST = DecodeRequest(
    7,
    (("system", "简短"), ("user", "hi\n\ud83d")),
    -1,
    {"greedy": False, "temperature": 0.5, "top_k": 3, "seed": 1 << 70, "top_p": None},
    background=True,
)
ORDERS: list[Order] = [
    LoadOrder("/m/模型\udcff", "int8", 2),
    LoadOrder("m.gguf", "bf16", 1, 512, {"a.py": "00ff"}, 4, 9000, True),
    AnswerOrder((REQUEST, DecodeRequest(8, (("user", ""),), 5))),
    AnswerOrder(()),
    CancelOrder(),
    CancelOrder((1, 2)),
    CancelOrder(()),
    ThreadsOrder(3),
    CloseOrder(),
]
LOAD: dict[str, Any] = {"op": "load", "checkpoint": "/m", "dtype": "bf16", "threads": 1}
NO_REQUESTS: list[Any] = [None, {}, [1], [[]], [{}]]
NO_CONVERSATIONS: list[Any] = [None, ["user"], [["user"]], [["user", 1]], [["user", "a", "b"]]]
NO_SAMPLINGS: list[Any] = [None, [], {"temperature": "hot"}, {"top_k": [1]}]
ASK: dict[str, Any] = {"answer": 1, "messages": [["user", "hi"]], "max_new_tokens": 3}


@pytest.mark.parametrize("order", ORDERS, ids=repr)
def test_an_order_arrives_as_it_was_sent(order: Order) -> None:
    line = encode_order(order)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert decode_order(line) == order


def test_defaults_are_left_out() -> None:
    assert json.loads(encode_order(LoadOrder("/m", "bf16", 1))) == LOAD
    order = AnswerOrder((DecodeRequest(1, (("user", "hi"),), 3),))
    assert json.loads(encode_order(order)) == {"op": "answer", "requests": [ASK]}
    assert decode_order(json.dumps({"op": "answer", "requests": [ASK]}).encode()) == order
    assert json.loads(encode_order(CancelOrder())) == {"op": "cancel"}


@pytest.mark.parametrize(
    "row",
    [
        *[LOAD | {"checkpoint": None}, LOAD | {"dtype": 8}],
        *[LOAD | {"threads": bad} for bad in (0, -1, True, 1.0, "1", None)],
        *[LOAD | {"batch": bad} for bad in (0, True, 2.5)],
        *[LOAD | {"context": -1}, LOAD | {"context": None}, LOAD | {"max_cached_tokens": "9"}],
        *[LOAD | {"remote_code": bad} for bad in (None, ["a.py"], {"a.py": 1})],
        *[
            LOAD | {"lookup": 1},
            LOAD | {"loop_stop": 0},
            LOAD | {"chat_template": 1},
            LOAD | {"more": 1},
            {"op": "load", "checkpoint": "/m"},
        ],
        *[{"op": "answer", "requests": bad} for bad in NO_REQUESTS],
        *[{"op": "answer", "requests": [ASK | {"answer": bad}]} for bad in (None, "1", True)],
        *[{"op": "answer", "requests": [ASK | {"messages": bad}]} for bad in NO_CONVERSATIONS],
        *[{"op": "answer", "requests": [ASK | {"max_new_tokens": bad}]} for bad in (None, 1.5)],
        *[{"op": "answer", "requests": [ASK | {"sampling": bad}]} for bad in NO_SAMPLINGS],
        {"op": "answer", "requests": [ASK | {"background": 1}]},
        {"op": "answer", "requests": [ASK | {"turns": []}]},
        *[{"op": "cancel", "answers": bad} for bad in (1, "all", ["1"], [True])],
        *[{"op": "threads", "threads": bad} for bad in (0, None, 2.0)],
        *[{"op": "threads"}, {"op": "close", "now": True}],
        *[{"op": "stop"}, {"op": ["load"]}, {"op": None}, {}, [], "load", None],
    ],
    ids=repr,
)
def test_what_is_no_order_is_refused(row: Any) -> None:
    with pytest.raises(ProtocolError):
        decode_order(json.dumps(row).encode())


@pytest.mark.parametrize("line", [b"", b"\n", b"{", b"\xff{}", b"[" * 100_000])
def test_what_is_no_json_is_refused(line: bytes) -> None:
    for decode in (decode_order, decode_report):
        with pytest.raises(ProtocolError):
            decode(line)


def test_the_sender_checks_too() -> None:
    with pytest.raises(ProtocolError, match=r"ThreadsOrder\.threads"):
        ThreadsOrder(0)
    with pytest.raises(ProtocolError, match=r"DecodeRequest\.messages"):
        DecodeRequest(1, [("user", "hi")], 3)  # type: ignore[arg-type]


def test_a_report_arrives_as_it_was_sent() -> None:
    for body in (Alive(12), Delta(3, text="同济\n"), Loaded(1.5, notes=["a"])):
        line = encode_report(body, 99)
        assert line.endswith(b"\n") and line.count(b"\n") == 1
        assert decode_report(line) == (99, body)


def test_a_lone_surrogate_is_replaced() -> None:
    _, body = decode_report(encode_report(Delta(1, text="a\ud83db"), 0))
    assert body == Delta(1, text="a?b")


@pytest.mark.parametrize(
    "row",
    [
        *[{}, [], [1, "alive"], [1, "alive", {}, 0], ["1", "alive", {"steps": 1}]],
        *[[1.5, "alive", {"steps": 1}], [True, "alive", {"steps": 1}], [1, 2, {}]],
        *[[1, "alive", {}], [1, "alive", {"steps": "1"}], [1, "alive", {"steps": -1}]],
        *[[1, "alive", []], [1, "alive", {"steps": 1, "more": 1}]],
        *[[1, "delta", {}], [1, "delta", {"answer": "1"}], [1, "delta", None]],
    ],
    ids=repr,
)
def test_what_is_no_report_is_refused(row: Any) -> None:
    with pytest.raises(ProtocolError):
        decode_report(json.dumps(row).encode())


def test_it_imports_neither_torch_nor_a_wing() -> None:
    script = (
        "import sys, tui.worker_protocol as it;"
        "print(sorted(m for m in sys.modules if m.startswith('tui.') or m == 'torch'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    loaded = ["tui.events", "tui.events.json_form", "tui.events.session", "tui.worker_protocol"]
    assert done.stdout.strip() == str(loaded), done.stderr
