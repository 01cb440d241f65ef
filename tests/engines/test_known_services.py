"""Every built-in service: where it is asked, with which key, how it is told to think, and its own
way of answering, spoken by a stand-in on this machine."""

import json
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support.fault_server import FaultServer, Received, Reply
from tests.support.bodies import text_of
from tests.support.endpoints import collect_events, load_engine, request
from tui.cli import run_command_line
from tui.engines.base import Message, Request
from tui.engines.client import key_of
from tui.engines.completion import request_body
from tui.engines.endpoint import EndpointEngine
from tui.engines.errors import ServiceError
from tui.engines.model_list import probe
from tui.events import Answered, Delta
from tui.host import paths
from tui.host.errors import UserError
from tui.models.local_servers import parse_list, served_models
from tui.models.reference import parse_reference
from tui.run.remote_models import resolve_remote
from tui.services import Service, check_table, find_service, known_services, usual_servers

ENABLED: dict[str, Any] = {"thinking": {"type": "enabled"}}
DISABLED: dict[str, Any] = {"thinking": {"type": "disabled"}}
TEMPLATE_SWITCH: tuple[dict[str, Any], dict[str, Any]] = (
    {"chat_template_kwargs": {"enable_thinking": True}},
    {"chat_template_kwargs": {"enable_thinking": False}},
)
SERVICES: dict[str, tuple[str, tuple[str, ...], dict[str, Any], dict[str, Any]]] = {
    # address, variables of the key, fields of a request that shall think, and that shall not
    "openai": (
        *("https://api.openai.com/v1", ("OPENAI_API_KEY",)),
        *({"reasoning_effort": "medium"}, {"reasoning_effort": "none"}),
    ),
    "deepseek": ("https://api.deepseek.com/v1", ("DEEPSEEK_API_KEY",), ENABLED, DISABLED),
    "dashscope": (
        *("https://dashscope.aliyuncs.com/compatible-mode/v1", ("DASHSCOPE_API_KEY",)),
        *({"enable_thinking": True}, {"enable_thinking": False}),
    ),
    "modelscope": (
        "https://api-inference.modelscope.cn/v1",
        ("MODELSCOPE_API_TOKEN", "MODELSCOPE_SDK_TOKEN", "MODELSCOPE_API_KEY"),
        *({"enable_thinking": True}, {"enable_thinking": False}),
    ),
    "zhipu": (
        "https://open.bigmodel.cn/api/paas/v4",
        ("ZHIPU_API_KEY", "ZHIPUAI_API_KEY"),
        *(ENABLED, DISABLED),
    ),
    "moonshot": ("https://api.moonshot.cn/v1", ("MOONSHOT_API_KEY",), ENABLED, DISABLED),
    "siliconflow": (
        *("https://api.siliconflow.cn/v1", ("SILICONFLOW_API_KEY",)),
        *({"enable_thinking": True}, {"enable_thinking": False}),
    ),
    "ark": ("https://ark.cn-beijing.volces.com/api/v3", ("ARK_API_KEY",), ENABLED, DISABLED),
    "tokenhub": (
        "https://tokenhub.tencentmaas.com/v1",
        ("TOKENHUB_API_KEY", "TENCENT_TOKENHUB_API_KEY"),
        *({"reasoning_effort": "high"}, {}),
    ),
    "minimax": ("https://api.minimaxi.com/v1", ("MINIMAX_API_KEY",), {}, {}),
    "stepfun": ("https://api.stepfun.com/v1", ("STEPFUN_API_KEY",), {}, {}),
    "openrouter": (
        *("https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",)),
        *({"reasoning": {"enabled": True}}, {"reasoning": {"enabled": False}}),
    ),
    "gemini": (
        "https://generativelanguage.googleapis.com/v1beta/openai",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        *({"reasoning_effort": "medium"}, {"reasoning_effort": "none"}),
    ),
    "anthropic": (
        *("https://api.anthropic.com/v1", ("ANTHROPIC_API_KEY",)),
        *({"thinking": {"type": "enabled", "budget_tokens": 1024}}, DISABLED),
    ),
    "ollama": (
        *("http://127.0.0.1:11434/v1", ()),
        *({"reasoning_effort": "medium"}, {"reasoning_effort": "none"}),
    ),
    "llamacpp": ("http://127.0.0.1:8080/v1", (), *TEMPLATE_SWITCH),
    "lmstudio": ("http://127.0.0.1:1234/v1", (), {}, {}),
    "vllm": ("http://127.0.0.1:8000/v1", (), *TEMPLATE_SWITCH),
}
GONE = "http://127.0.0.1:1/v1"
COUNTS = {"prompt_tokens": 7, "completion_tokens": 5}
THOUGHT: dict[str, Any] = {"delta": {"reasoning_content": "Hm."}}
YES: dict[str, Any] = {"delta": {"content": "Yes."}}
END: dict[str, Any] = {"delta": {}, "finish_reason": "stop"}
DONE = "[DONE]"


def chunk(choice: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    choices = [] if choice is None else [{"index": 0, "finish_reason": None, **choice}]
    return {"object": "chat.completion.chunk", "choices": choices, **more}


USUAL = [chunk(THOUGHT), chunk(YES), chunk(END), chunk(None, usage=COUNTS), DONE]
DIALECTS: dict[str, list[Any]] = {
    "zhipu": [chunk(THOUGHT), chunk(YES), chunk(END, usage=COUNTS), DONE],
    "moonshot": [chunk(THOUGHT), chunk(YES), chunk({**END, "usage": COUNTS}), DONE],
    "siliconflow": [
        chunk(THOUGHT, usage={"prompt_tokens": 7, "completion_tokens": 1}),
        chunk(YES, usage={"prompt_tokens": 7, "completion_tokens": 4}),
        chunk(END, usage=COUNTS),
        DONE,
    ],
    "ark": [
        chunk(THOUGHT, usage=None, service_tier="default"),
        chunk(YES, usage=None),
        chunk(END, usage=None),
        chunk(None, usage=COUNTS),
        DONE,
    ],
    "minimax": [
        chunk({"delta": {"content": "<think>\nHm.</think>\n\n"}}),
        chunk(YES, base_resp={"status_code": 0, "status_msg": ""}),
        {
            "choices": [
                {"finish_reason": "stop", "message": {"content": "<think>Hm.</think>Yes."}}
            ],
            "usage": COUNTS,
            "base_resp": {"status_code": 0, "status_msg": ""},
        },
    ],
    "openrouter": [
        None,
        chunk(
            {"delta": {"content": "", "reasoning": "Hm.", "reasoning_details": [{"text": "Hm."}]}}
        ),
        chunk(YES),
        chunk({**END, "native_finish_reason": "STOP"}, usage=COUNTS),
        DONE,
    ],
    "gemini": [
        chunk({"delta": {"content": "<thought>Hm.</thought>", "extra_content": {"google": {}}}}),
        chunk({**YES, "finish_reason": "stop"}, usage=COUNTS),
        DONE,
    ],
}


def stand_in(reply: Reply, received: Received) -> None:
    """Answers as the service does whose name is the model's."""
    reply.head()
    for event in DIALECTS.get(received.body["model"], USUAL):
        if event is None:
            reply.chunk(b": OPENROUTER PROCESSING\n\n")
        else:
            data = event if isinstance(event, str) else json.dumps(event)
            reply.chunk(f"data: {data}\n\n".encode())
    reply.raw(b"0\r\n\r\n")


def test_the_known_services_ask_where_they_should() -> None:
    known = known_services({}, {})
    assert {n: (s.base_url, s.key_variables) for n, s in known.items() if s.base_url} == {
        name: (address, variables) for name, (address, variables, _, _) in SERVICES.items()
    }
    assert all(service.concurrency == 4 for service in known.values())


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_in_its_own_dialect(name: str) -> None:
    _, variables, on, off = SERVICES[name]
    with FaultServer(stand_in, models=(name,)) as server:
        for think, fields in (("on", on), ("off", off), ("", {})):
            if think and not fields:
                with pytest.raises(UserError, match="think"):
                    known_services({name: {"think": think}}, {})
                continue
            own = {name: {"base_url": server.url, "think": think}}
            service, model = find_service(f"{name}:{name}", own, {})
            environ = dict.fromkeys(variables[-1:], "sk-of-the-last-variable")
            engine = EndpointEngine(service, model, environ=environ)
            assert load_engine(engine).notes == []
            events = [body for _, body in collect_events(engine, request())]
            last = events[-1]
            assert isinstance(last, Answered), last
            assert (last.finish, last.prompt_tokens, last.output_tokens) == ("stop", 7, 5)
            pieces = [body for body in events if isinstance(body, Delta)]
            assert text_of(p for p in pieces if not p.reasoning) == "Yes."
            assert text_of(p for p in pieces if p.reasoning) == "Hm."
            asked = server.requests[-1]
            assert {key: asked.body.get(key) for key in fields} == fields
            assert not (set(on) | set(off)) - set(fields) & set(asked.body)
            sent = {key.lower(): value for key, value in asked.headers.items()}
            expected = "Bearer sk-of-the-last-variable" if variables else None
            assert sent.get("authorization") == expected


@pytest.mark.parametrize("name", [name for name, entry in SERVICES.items() if len(entry[1]) > 1])
def test_the_first_variable_that_is_set_has_the_key(name: str) -> None:
    service, variables = known_services({}, {})[name], SERVICES[name][1]
    for at, variable in enumerate(variables):
        environ = {one: f"sk-{one}" for one in variables[at:]}
        assert key_of(service, environ).reveal() == f"sk-{variable}"
        assert key_of(service, {variables[0]: " ", variable: "sk-x"}).reveal() == "sk-x"


def test_a_list_of_models_that_takes_another_key_is_no_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refused(*_: object) -> list[str]:
        raise ServiceError("unauthorized", "no")

    monkeypatch.setattr("tui.engines.model_list.list_models", refused)
    environ = {"ANTHROPIC_API_KEY": "sk-x"}
    service = known_services({"anthropic": {"base_url": "http://127.0.0.1:1/v1"}}, {})["anthropic"]
    engine = EndpointEngine(service, "m", environ=environ)
    assert load_engine(engine).notes == []
    engine.close()
    found = probe(service, environ)
    assert (found.reachable, found.fault, found.models) == (True, None, ())


def test_further_variables_stay_with_their_service() -> None:
    own = {"evil": {"like": "zhipu", "base_url": "http://evil/v1", "key_variable": "EVIL_KEY"}}
    evil = known_services(own, {})["evil"]
    assert key_of(evil, {"ZHIPUAI_API_KEY": "sk", "EVIL_KEY": "e"}).reveal() == "e"
    check_table(own, is_untrusted=True)
    for more in ({"other_key_variables": ["OPENAI_API_KEY"]}, {"key_variable": "ZHIPUAI_API_KEY"}):
        with pytest.raises(UserError, match=r"services\.evil"):
            check_table({"evil": {**own["evil"], **more}}, is_untrusted=True)
    with pytest.raises(UserError, match="key_variable is 'HOME'"):
        known_services({"zhipu": {"other_key_variables": ["HOME"]}}, {})


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("siliconflw:Qwen/Qwen3-8B", "siliconflow:Qwen/Qwen3-8B"),
        ("kimi:k2", "moonshot:k2"),
        ("doubao:x", "ark:x"),
        ("claude:x", "anthropic:x"),
        ("GLM:glm-4", "zhipu:glm-4"),
        ("opneai:org/x", "openai:org/x"),
    ],
)
def test_a_near_name_is_suggested_and_never_taken_for_a_folder(typed: str, meant: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_reference(typed)
    assert f"did you mean {meant}?" in caught.value.next_step
    assert parse_reference(meant).kind == "service"
    assert parse_reference(f"./{typed}").kind == "folder"


def test_a_typed_address_of_this_machine_is_no_usual_server() -> None:
    for name in usual_servers():
        address = known_services({}, {})[name].base_url
        service, _ = find_service(f"{address}#m", {}, {})
        assert (service.name, service.key_variables) == ("url", ("DUIBI_API_KEY",))


def test_a_running_server_is_listed_beside_the_checkpoints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with FaultServer(stand_in, models=("qwen3-4b", "/m/x.gguf")) as server:
        own = "".join(
            f'[services.{name}]\nbase_url = "{server.url if name == "llamacpp" else GONE}"\n'
            for name in (*usual_servers(), "ollama")
        )
        (paths.config_dir() / "duibi.toml").write_text(own)
        assert run_command_line(["models", "list"]) == 0
        told = capsys.readouterr().out
        (row,) = [line for line in told.splitlines() if "llamacpp:qwen3-4b" in line]
        assert row.split() == ["llamacpp:qwen3-4b", "running", "here"]
        assert f"{server.url}#/m/x.gguf" in told


@pytest.mark.parametrize("variable", ["OLLAMA_HOST", "OPENAI_BASE_URL"])
def test_an_address_that_is_none_keeps_no_model_from_being_listed(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://u:p@h:x")
    assert served_models({}) == []


def test_what_a_local_server_lists_can_be_typed() -> None:
    service = Service("vllm", base_url="http://127.0.0.1:8000/v1")
    rows = [{"id": "Qwen/Qwen3"}, {"id": "/models/a b"}, {"id": "x\x1b[1m"}, {"id": 3}]
    found = parse_list(json.dumps({"data": rows}).encode(), service)
    names = [one.reference for one in found]
    assert names == ["vllm:Qwen/Qwen3", "http://127.0.0.1:8000/v1#/models/a%20b"]
    assert [find_service(parse_reference(name).target, {}, {})[1] for name in names] == [
        "Qwen/Qwen3",
        "/models/a b",
    ]
    for answer in (b"", b"[]", b'{"data": 3}', b'{"data": [3]}', b"<html>"):
        assert parse_list(answer, service) == []


@pytest.mark.parametrize("page", ["services.md", "services.zh.md"])
def test_the_table_of_services_says_what_is_asked_where(page: str) -> None:
    """Its address, the variables of its key, and how it is told whether to think."""
    text = (Path(__file__).parents[2] / "docs" / page).read_text("utf-8")
    rows = {line.partition("`")[2].partition(":")[0]: line for line in text.splitlines()}
    for name, service in known_services({}, {}).items():
        if not service.base_url:
            continue
        row = rows[name]
        assert f"`{service.base_url}`" in row
        assert all(f"`{variable}`" in row for variable in service.key_variables), name
        *_, on, off, _ = row.split("|")
        for told, fields in ((on, service.thinking_on), (off, service.thinking_off)):
            assert told.strip(" `") == (_plain(fields) if fields else "–"), name


def _plain(fields: Any) -> str:
    """Fields of a request as the page writes them."""
    return json.dumps(dict(fields)).replace('"', "")[1:-1]


@pytest.mark.parametrize("field", ["max_tokens_field", "effort_field", "budget_field"])
@pytest.mark.parametrize("name", ["n", "model", "messages", "stream", "messages.0"])
def test_no_setting_is_sent_as_what_a_request_is_made_of(field: str, name: str) -> None:
    """As many tokens as are allowed would be as many answers."""
    with pytest.raises(UserError, match=field):
        known_services({"openai": {field: name}}, {})


@pytest.mark.parametrize("name", ["n", "best_of", "candidate_count"])
def test_no_request_asks_for_answers_that_nobody_sees(name: str) -> None:
    with pytest.raises(UserError, match=f"sets {name}"):
        known_services({"openai": {"body": {name: 4}}}, {})


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": date(2026, 1, 1)}])
def test_what_no_request_can_hold_is_told_before_one(value: object) -> None:
    with pytest.raises(UserError, match="holds what no request can"):
        known_services({"openai": {"body": {"x": value}}}, {})


@pytest.mark.parametrize("table", ["body", "thinking_on"])
@pytest.mark.parametrize("value", [100_000, -1, "all", 7])
@pytest.mark.parametrize("limit", ["max_tokens", "num_predict"])
def test_no_entry_allows_an_answer_more_than_the_settings(
    table: str, value: object, limit: str
) -> None:
    fields = {"max_tokens": value, "max_completion_tokens": value, "num_predict": value}
    entry = {"base_url": "http://box:1/v1", table: fields, "max_tokens_field": limit, "think": "on"}
    entry.setdefault("thinking_on", {"think": True})
    service = known_services({"box": entry}, {})["box"]
    body, _ = request_body(Request(1, (Message("user", "?"),), 100), "m", service)
    most = 7 if value == 7 else 100
    assert body["max_completion_tokens"] == body[limit] == body["max_tokens"] == most


def test_a_published_price_is_none_for_requests_that_are_paid_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So that no budget is kept with it; a price of one's own is."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-of-a-price")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    ref = parse_reference("openai:gpt-5.5")
    assert resolve_remote(ref, {}, tmp_path).price is not None
    own = {"openai": {"body": {"service_tier": "priority"}}}
    assert resolve_remote(ref, own, tmp_path).price is None
    mine = {"openai:gpt-5.5": {"input": 2.0, "output": 20.0}}
    assert resolve_remote(ref, own, tmp_path, mine).price is not None


@pytest.mark.parametrize(
    "field",
    [
        "temperature = 'x'",
        "temperature = { '$ref' = 1 }",
        "top_p = 1e308",
        "top_k = 1.5",
        "min_p = -1",
        "seed = 99999999999999999999",
        "enable_thinking = 'yes'",
    ],
)
def test_a_field_that_chooses_among_tokens_is_one_that_can_be(field: str) -> None:
    """It is told before anything is asked, in one's own file too."""
    name = field.partition(" ")[0]
    for table in ("body", "thinking_off"):
        entry = tomllib.loads(f"[openai]\n{table} = {{ {field} }}")
        with pytest.raises(UserError, match=rf"services.openai.{table}.{name} is .*"):
            check_table(entry)
    check_table({"openai": {"body": {"top_k": -1, "seed": 3, "presence_penalty": 1.5}}})
