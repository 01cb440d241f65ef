"""Predictions from headers alone, and who may be in memory when."""

import json
from pathlib import Path

import pytest

from tui.host.errors import UserError
from tui.host.memory import Reading
from tui.models.resolve import Resolved
from tui.run import plan
from tui.run.residents import Residents

GB = 1_000_000_000
QWEN = {
    "model_type": "qwen",
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "hidden_size": 4096,
    "kv_channels": 128,
    "intermediate_size": 22016,
    "vocab_size": 151936,
    "seq_length": 8192,
}


@pytest.fixture
def qwen(tmp_path: Path) -> Resolved:
    (tmp_path / "config.json").write_text(json.dumps(QWEN))
    return Resolved("q", "Qwen-7B-Chat@bf16", "local", tmp_path, "bf16", "qwen", 7_721_324_544)


def test_a_7b_in_bf16_at_2k_context_takes_about_18_gb(qwen: Resolved) -> None:
    needed = plan.need(qwen, 512)
    assert needed.cache == 2 * 32 * 32 * 128 * 2 * 2048
    assert needed.total == pytest.approx(18.4 * GB, rel=0.01)
    assert plan.need(qwen, 512, "fp32").total > 32 * GB


def test_refusal_tells_the_sum_and_the_smallest_change(qwen: Resolved) -> None:
    fp32 = Resolved("q", "Qwen@fp32", "local", qwen.checkpoint, "fp32", "qwen", qwen.parameters)
    with pytest.raises(UserError) as caught:
        plan.check([fp32], [plan.need(fp32, 512)], Reading(32 * GB, 2 * GB, "cgroup v2"), 512)
    assert caught.value.exit_code == 4
    assert "30.0 of 32.0 GB are free (cgroup v2)" in caught.value.message
    assert caught.value.next_step == "`@bf16` needs 18.4 GB"


def test_a_gguf_is_never_underestimated_by_its_file(tmp_path: Path) -> None:
    gguf = Resolved(
        "g", "g@bf16", "local", tmp_path / "g.gguf", "bf16", checkpoint_bytes=98_362_432
    )
    assert plan.need(gguf, 512).weights > 134_515_008 * 2


def test_residents_come_and_go_in_line() -> None:
    rooms = Residents([6, 6, 3], room=10)
    assert rooms.enter(0) and not rooms.enter(1) and not rooms.enter(2)
    assert rooms.must_leave(0), "who is idle leaves for the first in line"
    rooms.leave(0)
    assert not rooms.enter(2), "the small one does not pass the large one"
    assert rooms.enter(1) and rooms.enter(2)
    assert not rooms.enter(0)
    assert rooms.must_leave(2) is True
    assert rooms.must_leave(1) is True


def test_only_as_many_leave_as_make_room() -> None:
    rooms = Residents([4, 4, 4], room=8)
    assert rooms.enter(0) and rooms.enter(1) and not rooms.enter(2)
    assert rooms.must_leave(0)
    assert not rooms.must_leave(1)
    rooms.leave(0)
    assert rooms.enter(2)
    assert rooms.withdraw(0) is False


def test_one_alone_may_always_try() -> None:
    assert Residents([20], room=10).enter(0)
