"""Models behind HTTP, pasted and recorded, from their references."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui.host.errors import UserError
from tui.models.reference import parse_reference
from tui.models.resolved import ResolvedModel
from tui.run import remote_models

CANARY = "sk-canary-0b1d2c"
OWN: dict[str, Any] = {
    "gpu-box": {"base_url": "http://gpu-box:8000/v1", "key_variable": "GPU_BOX_KEY"},
}


def found(text: str, sessions: Path = Path("nowhere"), own: dict[str, Any] = OWN) -> ResolvedModel:
    return remote_models.resolve_remote(parse_reference(text, own), own, sessions)


def test_a_service_says_where_it_is_and_nothing_of_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    one = found("openai:gpt-0")
    assert one.to_json() == {
        "name": "openai:gpt-0",
        "label": "openai:gpt-0",
        "engine": "endpoint",
        "service": "openai",
        "base_url": "https://api.openai.com/v1",
        "model": "gpt-0",
        "family": "openai",
    }
    assert CANARY not in repr(one) + json.dumps(one.to_json())


def test_a_missing_key_ends_it_before_anything_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, text in (("GPU_BOX_KEY", "gpu-box:llama"), ("DEEPSEEK_API_KEY", "deepseek:x")):
        monkeypatch.delenv(variable, raising=False)
        with pytest.raises(UserError) as caught:
            found(text)
        assert variable in caught.value.message and caught.value.exit_code == 2


def test_a_server_is_headed_by_model_and_host() -> None:
    assert found("http://127.0.0.1:8000/v1#qwen").label == "qwen (127.0.0.1:8000)"
    assert found("http://127.0.0.1:8000/v1#/models/demo-1").label == "demo-1 (127.0.0.1:8000)"
    assert found("http://127.0.0.1:8000/v1#/models/demo-1").model == "/models/demo-1"


def test_a_pasted_model_says_so_in_its_label() -> None:
    one = found("pasted:ChatGPT-4o")
    assert (one.engine, one.label, one.model) == ("pasted", "ChatGPT-4o (pasted)", "ChatGPT-4o")


def test_a_recorded_model_is_found_by_label_or_name(tmp_path: Path) -> None:
    head = recorded_header(
        ["demo@bf16", "demo@bf16 #2", "other@fp32"], [{"id": "q", "turns": ["Why?"]}]
    )
    head.models[2]["name"] = "other"
    path = record_session(tmp_path, head, lambda model, _: f"because {model}")
    one = found(f"session:{path}#demo@bf16 #2")
    assert (one.engine, one.checkpoint, one.model) == ("recorded", path, "demo@bf16 #2")
    assert one.label == "demo@bf16 #2 (recorded)" and one.parameters == 134_515_008
    assert found(f"session:{path.name}#other", tmp_path).model == "other@fp32"
    for wrong in ("nobody", "demo@bf16 #3", "demo"):
        with pytest.raises(UserError) as caught:
            found(f"session:{path}#{wrong}")
        assert "demo@bf16, demo@bf16 #2, other@fp32" in caught.value.next_step
    with pytest.raises(UserError, match="no session"):
        found("session:nothing#demo", tmp_path)
