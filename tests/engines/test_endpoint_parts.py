"""The pure parts of the endpoint engine: event stream, services table, token counts, sharing."""

import asyncio
import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.engines import tokens
from tui.engines.base import Message, Request, SamplingOptions
from tui.engines.completion import Completion, request_body
from tui.engines.errors import CAUSES, ServiceError, quote_text
from tui.engines.http_response import parse_retry_after
from tui.engines.limiter import Limiter
from tui.engines.secret import Secret
from tui.engines.sse import ServerEvent, SseParser, StreamError
from tui.host.errors import UserError
from tui.services import Service, find_service, known_services
from tui.text.reasoning import ReasoningParser
from tui.text.token_estimate import estimate

# -- event stream ----------------------------------------------------------------------------


def parse(data: bytes, *cuts: int) -> list[ServerEvent]:
    parser, found = SseParser(), []
    edges = [0, *sorted(min(c, len(data)) for c in cuts), len(data)]
    for a, b in itertools.pairwise(edges):
        found += list(parser.feed(data[a:b]))
    return found


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"data: a\n\n", [ServerEvent("a")]),
        (b"data:a\r\n\r\n", [ServerEvent("a")]),
        (b"data:  a\r\rdata: b\r\r", [ServerEvent(" a"), ServerEvent("b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [ServerEvent("a")]),
        (b"data: a\ndata: b\n\n", [ServerEvent("a\nb")]),
        (b": keep-alive\n\ndata: a\n: more\n\n", [ServerEvent("a")]),
        (b"event: error\ndata: x\n\ndata: y\n\n", [ServerEvent("x", "error"), ServerEvent("y")]),
        (b"event: ping\n\ndata: y\n\n", [ServerEvent("y")]),
        (b"id: 1\nretry: 5\nnonsense\ndata\ndata: a\n\n", [ServerEvent("\na")]),
        (b"data: a\n", []),
        (b"data: cut", []),
        ("data: a\u2028b\n\n".encode(), [ServerEvent("a\u2028b")]),
        (b"", []),
    ],
)
def test_a_stream_is_read_as_the_standard_says(data: bytes, events: list[ServerEvent]) -> None:
    assert parse(data) == events
    assert parse(data, *range(len(data))) == events


@given(
    st.lists(
        st.sampled_from(
            [b"data: x", b"data: \xe4\xbd\xa0", b"\n", b"\r\n", b"\r", b": c", b"event: e", b"\n\n"]
        ),
        max_size=30,
    ),
    st.lists(st.integers(0, 200), max_size=10),
)
def test_it_does_not_matter_how_the_bytes_are_cut(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    assert parse(data, *cuts) == parse(data)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_any_bytes_give_events_or_the_one_error(data: bytes, cuts: list[int]) -> None:
    try:
        found = parse(data, *cuts)
    except StreamError as error:
        assert error.cause == "malformed"
    else:
        assert all("\r" not in event.data for event in found)


def test_what_came_before_an_error_is_given() -> None:
    events = SseParser().feed(b"data: a\n\ndata: \xff\n\n")
    assert next(events) == ServerEvent("a")
    with pytest.raises(StreamError):
        next(events)


@pytest.mark.parametrize("data", [b"x" * 101, b"data: " + b"y" * 200 + b"\n", b"data: z\n" * 200])
def test_neither_a_line_nor_an_event_grows_without_bound(data: bytes) -> None:
    parser = SseParser(max_bytes=100)
    with pytest.raises(StreamError) as caught:
        for i in range(0, len(data), 7):
            list(parser.feed(data[i : i + 7]))
    assert caught.value.cause == "oversized"


_STREAM = ["choices", "delta", "content", "reasoning", "finish_reason", "index", "text"]
_REST = ["usage", "completion_tokens", "prompt_tokens", "error", "message", "code"]
_KEYS = st.sampled_from([*_STREAM, *_REST])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(json_values, st.sampled_from(["message", "error"]))
def test_any_json_gives_text_or_a_fault(value: object, type_: str) -> None:
    completion = Completion("host")
    try:
        pieces = completion.feed(ServerEvent(json.dumps(value), type_))
    except ServiceError as fault:
        assert fault.cause in CAUSES and fault.message.isprintable()
    else:
        "".join(piece.text for piece in pieces).encode()
        assert completion.finish in ("", "stop", "length")


# -- services --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("gpu-box", "http://gpu-box:11434/v1"),
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0:9000", "http://127.0.0.1:9000/v1"),
        (":9000", "http://127.0.0.1:9000/v1"),
        ("[::1]:9000", "http://[::1]:9000/v1"),
        ("[::]:9000", "http://[::1]:9000/v1"),
        ("https://box.example", "https://box.example:443/v1"),
        ("http://box:1/prefix/v1/", "http://box:1/prefix/v1"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(host: str, base: str) -> None:
    assert known_services({}, {"OLLAMA_HOST": host})["ollama"].base_url == base


def test_openai_base_url_may_be_any_server() -> None:
    own = known_services({}, {"OPENAI_BASE_URL": "http://gpu:8000/v1/"})["openai"]
    assert (own.base_url, own.key_required) == ("http://gpu:8000/v1", False)
    assert own.max_tokens_field == "max_tokens"
    with pytest.raises(UserError, match="OPENAI_BASE_URL"):
        known_services({}, {"OPENAI_BASE_URL": "gpu:8000"})


def test_own_entries_add_and_change() -> None:
    own = {
        "box": {"base_url": "http://gpu:8000/v1", "key_variable": "BOX_KEY", "concurrency": 16},
        "fast": {"like": "dashscope", "body": {"enable_thinking": False}},
        "deepseek": {"stall_s": 5},
    }
    known = known_services(own, {})
    assert known["box"].key_required and known["box"].concurrency == 16
    assert known["fast"].base_url == known["dashscope"].base_url
    assert known["fast"].body == {"enable_thinking": False}
    assert known["deepseek"] == Service(
        **{f: getattr(known_services({}, {})["deepseek"], f) for f in Service.__dataclass_fields__}
        | {"stall_s": 5.0}
    )
    assert find_service("box:qwen@v1", own, {}) == (known["box"], "qwen@v1")


def test_an_address_in_the_file_is_not_replaced_by_a_variable() -> None:
    own = {"openai": {"base_url": "http://mine:1/v1"}}
    assert known_services(own, {"OPENAI_BASE_URL": "http://other/v1"})["openai"].host == "mine:1"


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"box": {"base_ulr": "x"}}, "did you mean base_url"),
        ({"box": {}}, "has no base_url"),
        ({"box": 5}, "not a table"),
        ({"b x": {"base_url": "http://h/v1"}}, "cannot name"),
        ({"session": {"base_url": "http://h/v1"}}, "cannot name"),
        ({"box": {"base_url": "ftp://h/v1"}}, "not the base address"),
        ({"box": {"base_url": "http://u:p@h/v1"}}, "user name or password"),
        ({"box": {"base_url": "http://h:99999/v1"}}, "not a URL"),
        ({"box": {"base_url": "http://h/v1", "concurrency": 0}}, "1 to 1024"),
        ({"box": {"base_url": "http://h/v1", "concurrency": True}}, "1 to 1024"),
        ({"box": {"base_url": "http://h/v1", "stall_s": -1}}, "seconds"),
        ({"box": {"base_url": "http://h/v1", "stall_s": float("nan")}}, "seconds"),
        ({"box": {"base_url": "http://h/v1", "key_required": "no"}}, "true or false"),
        ({"box": {"base_url": "http://h/v1", "parameters": ["topp"]}}, "top_p"),
        ({"box": {"base_url": "http://h/v1", "body": {"stream": False}}}, "sets stream"),
        ({"box": {"like": "opneai"}}, "unknown service"),
    ],
)
def test_a_wrong_entry_is_named(own: dict[str, object], said: str) -> None:
    with pytest.raises(UserError) as caught:
        known_services(own, {})
    assert said in f"{caught.value.message} {caught.value.next_step}"
    assert "services" in caught.value.message or "service" in caught.value.message


def test_a_server_by_its_address_gets_no_services_key() -> None:
    service, model = find_service("http://Box:8000/v1/#org/Name%20x", {}, {"OPENAI_API_KEY": "k"})
    assert (service.base_url, model) == ("http://Box:8000/v1", "org/Name x")
    assert (service.key_variable, service.key_required) == ("DUIBI_API_KEY", False)
    known, _ = find_service("https://api.deepseek.com/v1#deepseek-chat", {}, {})
    assert known.key_variable == "DEEPSEEK_API_KEY"
    service, _ = find_service("http://h/v1/chat/completions#m", {}, {})
    assert service.base_url == "http://h/v1"


def test_an_unknown_service_names_the_nearest() -> None:
    with pytest.raises(UserError) as caught:
        find_service("opnai:x", {}, {})
    assert "did you mean openai" in caught.value.next_step


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:1/v1", True),
        ("http://127.9.9.9/v1", True),
        ("http://[::1]:5/v1", True),
        ("http://LOCALHOST/v1", True),
        ("http://127.0.0.1.evil.com/v1", False),
        ("http://localhost.evil.com/v1", False),
        ("http://10.0.0.1/v1", False),
    ],
)
def test_loopback_is_told_from_what_looks_like_it(url: str, here: bool) -> None:
    assert Service("x", base_url=url).is_loopback is here


# -- thoughts in the answer ------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(
    ("text", "thought", "said"),
    [
        ("<think>\nHm, 2 < 3.\n</think>\n\nYes.", "Hm, 2 < 3.\n", "Yes."),
        ("\n<think></think>Yes.", "", "Yes."),
        ("<think>never closed </thi", "never closed </thi", ""),
        ("<thin ice", "", "<thin ice"),
        ("a <think>b</think> c", "", "a <think>b</think> c"),
        ("<thi", "", "<thi"),
    ],
)
def test_thoughts_that_stand_in_the_answer_are_told_apart(
    size: int, text: str, thought: str, said: str
) -> None:
    stream = ReasoningParser()
    pieces: list[tuple[str, bool]] = []
    for at in range(0, len(text), size):
        pieces += stream.feed(text[at : at + size])
    pieces += stream.finish()
    assert "".join(t for t, reasoning in pieces if reasoning) == thought
    assert "".join(t for t, reasoning in pieces if not reasoning) == said


# -- small things ----------------------------------------------------------------------------


def test_every_cause_is_described() -> None:
    for word, cause in CAUSES.items():
        assert word.isidentifier() and cause.meaning and cause.next_step
        assert cause.exit_code in ((1,) if word == "internal" else (2, 3))


@pytest.mark.parametrize("name", ["services.md", "services.zh.md"])
def test_every_cause_is_documented_with_whether_it_is_asked_again(name: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / name).read_text("utf-8")
    for word, cause in CAUSES.items():
        assert (f"`{word}*`" if cause.is_retryable else f"`{word}`") in text, word


def test_a_strangers_words_become_one_line() -> None:
    key = Secret("sk-secret")
    assert quote_text("a\x1b[31m\r\nb\u202e sk-secret \ue000c", key) == "a [31m b *** c"
    assert len(quote_text("x" * 10**6)) == 300
    assert f"{key!r} {key}" == "*** ***"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3.0), (" 1.5 ", 1.5), ("", None), ("soon", None), ("0", 0.0)]
    + [(bad, None) for bad in ("-4", "nan", "-1e308", "-inf")],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value) == seconds


def test_retry_after_as_a_date() -> None:
    assert parse_retry_after("Thu, 01 Jan 1970 00:00:00 GMT") is None
    late = parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT")
    assert late is not None and late > 1e9


def test_the_estimate_follows_the_published_rule() -> None:
    assert estimate("你好世界啊") == pytest.approx(3.0)
    assert estimate("hello worl") == pytest.approx(3.0)
    assert tokens.count("hello worl", "qwen") == (3, "estimate")


def test_a_cached_vocabulary_counts_for_openai_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tiktoken
    from tiktoken import registry

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert tokens.count("hello worl", "gpt-4o") == (3, "estimate")  # and nothing is fetched
    address = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
    (tmp_path / hashlib.sha1(address.encode()).hexdigest()).touch()
    ranks = {bytes([i]): i for i in range(256)} | {b"he": 256, b"lo": 257}
    small = tiktoken.Encoding(
        "small", pat_str=r"\S+|\s+", mergeable_ranks=ranks, special_tokens={"<|end|>": 258}
    )
    monkeypatch.setitem(registry.ENCODINGS, "o200k_base", small)
    assert tokens.count("hello<|end|>", "gpt-4o") == (3 + 7, "tokenizer")


async def test_a_place_is_given_in_order_and_given_back() -> None:
    limiter, order = Limiter(2), []

    async def use(number: int) -> None:
        async with limiter.turn():
            order.append(number)
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(use(i)) for i in range(6)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, 1, 2, 4, 5]
    for _ in range(2):  # both places are free again
        await asyncio.wait_for(limiter.take(), 60)


async def test_a_place_given_to_one_who_leaves_goes_to_the_next() -> None:
    limiter = Limiter(1)
    place = await limiter.take()
    second = asyncio.create_task(limiter.take())
    third = asyncio.create_task(limiter.take())
    await asyncio.sleep(0)
    limiter.give_back(place)  # the place is now the second's
    second.cancel()
    await asyncio.wait_for(third, 60)


async def test_a_pause_holds_everyone() -> None:
    limiter, loop = Limiter(8), asyncio.get_running_loop()
    limiter.slow_down(limiter.places[0], 0.1)
    began = loop.time()
    await asyncio.gather(*(limiter.take() for _ in range(4)))
    assert loop.time() - began > 0.09
    assert limiter.limit == 4


# -- probabilities ---------------------------------------------------------------------------


def test_probabilities_of_tokens_are_taken_where_a_service_tells_them() -> None:
    completion = Completion("host")
    said = {
        "content": [
            {
                "token": "好",
                "logprob": -0.5,
                "top_logprobs": [{"token": "好", "logprob": -0.5}, {"token": "吗", "logprob": -2}],
            },
            {"token": "!", "logprob": -1.0, "top_logprobs": [None, {"token": 3}]},
        ]
    }
    choice = {"index": 0, "delta": {"content": "好!"}, "logprobs": said}
    completion.feed(ServerEvent(json.dumps({"choices": [choice]})))
    assert completion.logprobs == [
        ("好", -0.5, [["好", -0.5], ["吗", -2.0]]),
        ("!", -1.0, []),
    ]


def test_behind_an_item_that_is_no_token_none_is_taken_also_not_of_later_pieces() -> None:
    """The places of tokens are compared: one left out would move all that follow."""
    completion = Completion("host")
    for content in ([{"token": "a", "logprob": -1}, 3, {"token": "b"}], [{"token": "c"}]):
        choice = {"index": 0, "delta": {"content": "x"}, "logprobs": {"content": content}}
        completion.feed(ServerEvent(json.dumps({"choices": [choice]})))
    assert [token for token, _, _ in completion.logprobs] == ["a"]


def test_only_a_service_that_gives_probabilities_is_asked_for_them() -> None:
    sampling = SamplingOptions(logprobs=5)
    request = Request(0, (Message("user", "hi"),), 9, sampling)
    body, left_out = request_body(request, "m", Service("url"))
    assert (body["logprobs"], body["top_logprobs"], left_out) == (True, 5, [])
    body, left_out = request_body(request, "m", Service("x", parameters=("seed",)))
    assert "logprobs" not in body and left_out == ["logprobs"]


@pytest.mark.parametrize(
    ("name", "think", "budget", "fields", "left_out"),
    [
        ("dashscope", "off", None, {"enable_thinking": False}, []),
        ("dashscope", "", 500, {"enable_thinking": True, "thinking_budget": 500}, []),
        ("dashscope", "high", None, {"enable_thinking": True}, ["think"]),
        ("openai", "high", None, {"reasoning_effort": "high"}, []),
        ("openai", "on", 500, {"reasoning_effort": "medium"}, ["think_tokens"]),
        (
            "openrouter",
            "low",
            9,
            {"reasoning": {"enabled": True, "effort": "low", "max_tokens": 9}},
            [],
        ),
        ("anthropic", "on", 2000, {"thinking": {"type": "enabled", "budget_tokens": 2000}}, []),
        ("minimax", "off", None, {}, ["think"]),
        ("minimax", "", None, {}, []),
    ],
)
def test_thinking_is_asked_for_in_the_words_of_the_service(
    name: str, think: str, budget: int | None, fields: dict[str, Any], left_out: list[str]
) -> None:
    service = known_services({}, {})[name]
    plain, _ = request_body(Request(1, (Message("user", "?"),), 100), "m", service)
    asked = Request(1, (Message("user", "?"),), 100, think=think, think_tokens=budget)
    body, refused = request_body(asked, "m", service)
    limit = service.max_tokens_field
    room = 100 + (budget or 0) if service.budget_field else 100
    assert body == {**plain, **fields, limit: room}
    assert refused == left_out
    # What the table of services holds is not changed by a request.
    assert request_body(Request(1, (Message("user", "?"),), 100), "m", service)[0] == plain


def test_the_thought_of_a_usage_is_counted_apart() -> None:
    made = Completion("host")
    usage = {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 6}}
    made.feed_json({"choices": [{"delta": {"content": "Yes"}}], "usage": usage})
    assert (made.output_tokens, made.thought_tokens) == (9, 6)
    odd = Completion("host")
    usage = {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 10}}
    odd.feed_json({"choices": [], "usage": usage})
    assert odd.thought_tokens == 9
