"""Predictions from headers alone, and who may be in memory when."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.small_gguf import write_gguf
from tui.host import format_speeds
from tui.host.errors import UserError
from tui.host.format_speeds import FormatSpeeds
from tui.host.memory import MemoryReading
from tui.models import demo
from tui.models.resolved import ResolvedModel
from tui.options import RunOptions
from tui.questions.question_set import Question
from tui.run import plan
from tui.run.memory_scheduler import MemoryScheduler

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
def qwen(tmp_path: Path) -> ResolvedModel:
    (tmp_path / "config.json").write_text(json.dumps(QWEN))
    return ResolvedModel("q", "Qwen-7B-Chat@bf16", "local", tmp_path, "bf16", "qwen", 7_721_324_544)


def planned(
    *models: ResolvedModel,
    limit: float,
    used: float = 0,
    settings: RunOptions | None = None,
    questions: Sequence[Question] = (),
) -> plan.MemoryPlan:
    reading = MemoryReading(int(limit * GB), int(used * GB), "cgroup v2")
    return plan.plan_memory(models, settings or RunOptions(), reading, questions)


def test_a_7b_in_bf16_at_2k_context_takes_about_20_gb(qwen: ResolvedModel) -> None:
    needed = plan.memory_need(plan.size_of_model(qwen), 2048)
    assert needed.kv_cache == 2 * 32 * 32 * 128 * 4 * 2048
    assert needed.total == pytest.approx(19.5 * GB, rel=0.06)
    assert plan.memory_need(plan.size_of_model(qwen), 2048, "fp32").total > 31 * GB
    assert plan.memory_need(plan.size_of_model(qwen), 100_000).context == 8192, (
        "more than its context is never used"
    )
    assert (
        plan.memory_need(plan.size_of_model(qwen), 2048, batch=plan.BatchLimits(8)).kv_cache
        == 8 * needed.kv_cache
    )


def test_the_context_asked_for_is_what_is_planned_for(qwen: ResolvedModel) -> None:
    assert planned(qwen, limit=32).needs[0].context == 1536 + 512
    short = RunOptions(max_new_tokens=100)
    assert planned(qwen, limit=32, settings=short).needs[0].context == 1636
    long = RunOptions(context=8000)
    assert planned(qwen, limit=32, settings=long).needs[0].context == 8000


def test_refusal_tells_the_sum_and_the_smallest_change(qwen: ResolvedModel) -> None:
    fp32 = replace(qwen, label="Qwen@fp32", dtype="fp32")
    with pytest.raises(UserError) as caught:
        planned(fp32, limit=32, used=2).check()
    assert caught.value.exit_code == 4
    assert "29.0 of 32.0 GB can be used (cgroup v2)" in caught.value.message
    assert "30.9 weights + 2.1 KV cache of 2048 tokens" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.next_step.startswith("`@bf16` needs 1")
    assert planned(qwen, limit=14).change.startswith("`@int8` needs ")
    assert planned(qwen, limit=9).change.startswith("`@int4` needs ")
    assert planned(qwen, limit=5).change.startswith("stop other programs")
    wide = RunOptions(context=8192)
    assert planned(qwen, limit=26, settings=wide).change.startswith("`--context 4096` needs ")


def test_who_is_held_together_and_who_takes_turns(qwen: ResolvedModel) -> None:
    third = replace(qwen, label="third")
    both = planned(qwen, replace(qwen, label="second"), third, limit=42)
    assert both.groups == ((0, 1), (2,))
    assert "take turns" in both.remark
    assert both.lines[1].startswith("turn 2: third: 19.")
    assert both.to_json()["turns"] == [["Qwen-7B-Chat@bf16", "second"], ["third"]]
    alone = RunOptions(schedule="one-at-a-time")
    assert planned(qwen, third, limit=100, settings=alone).groups == ((0,), (1,))
    assert planned(qwen, third, limit=100, settings=alone).batch.size == 1, "one answer at a time"
    batched = RunOptions(schedule="one-at-a-time", batch=4)
    assert planned(qwen, third, limit=100, settings=batched).batch.size == 4, "as it was asked for"
    assert planned(qwen, third, limit=100).groups == ((0, 1),)
    all_the_same = RunOptions(schedule="together")
    forced = planned(qwen, third, limit=4, settings=all_the_same)
    forced.check()
    assert (forced.groups, forced.budget) == (((0, 1),), None)


def test_what_computes_elsewhere_needs_nothing(qwen: ResolvedModel) -> None:
    far = ResolvedModel("openai:x", "x", "endpoint", Path(), "")
    made = planned(far, qwen, far, limit=32)
    assert [one.total for one in made.needs][::2] == [0, 0]
    assert made.groups == ((1,),)


def test_a_gguf_is_never_underestimated_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "g.gguf"
    file.write_bytes(b"GGUF" + bytes(1_000_000))
    gguf = ResolvedModel("g", "g@bf16", "local", file, "bf16", checkpoint_bytes=98_362_432)
    assert plan.memory_need(plan.size_of_model(gguf), 2048).weights >= 1_000_004 * 8 / 4.5 * 2 - 2


def test_the_demo_and_a_gguf_are_known_exactly(tmp_path: Path) -> None:
    of_demo = ResolvedModel(
        "demo", "demo@fp32", "local", demo.path(), "fp32", "llama", demo.PARAMETERS
    )
    assert (
        plan.memory_need(plan.size_of_model(of_demo), 2048).kv_cache == 2 * 30 * 3 * 64 * 2048 * 4
    )
    file = write_gguf(tmp_path / "own.gguf")
    own = ResolvedModel("own", "own@fp32", "local", file, "fp32")
    known = plan.size_of_model(own)
    assert (known.shape.layers, known.shape.hidden, known.shape.kv_heads) == (2, 64, 2)
    assert (known.context, known.parameters) == (256, 114_752)
    assert plan.memory_need(known, 2048).context == 256


def test_a_worker_may_take_what_the_longest_conversation_could(qwen: ResolvedModel) -> None:
    weights, answers = plan.worker_memory_limits(qwen, RunOptions())
    assert weights == (qwen.parameters - 151936 * 4096) * 2, "of the embeddings it needs rows"
    assert answers > 2 * 32 * 32 * 128 * 2 * 8192
    _, bounded = plan.worker_memory_limits(qwen, RunOptions(context=1024))
    assert bounded < answers - 3 * GB


def test_residents_come_and_go_in_line() -> None:
    rooms = MemoryScheduler({0: 6, 1: 6, 2: 3}, budget=10)
    assert rooms.admit(0) and not rooms.admit(1) and not rooms.admit(2)
    assert rooms.must_unload(0), "who is idle leaves for the first in line"
    rooms.release(0)
    assert not rooms.admit(2), "the small one does not pass the large one"
    assert rooms.admit(1) and rooms.admit(2)
    assert not rooms.admit(0)
    assert rooms.must_unload(2) is True
    assert rooms.must_unload(1) is True


def test_only_as_many_leave_as_make_room() -> None:
    rooms = MemoryScheduler({0: 4, 1: 4, 2: 4}, budget=8)
    assert rooms.admit(0) and rooms.admit(1) and not rooms.admit(2)
    assert rooms.must_unload(0)
    assert not rooms.must_unload(1)
    rooms.release(0)
    assert rooms.admit(2)
    assert rooms.stop_waiting(0) is False


def test_one_alone_may_always_try() -> None:
    assert MemoryScheduler({0: 20}, budget=10).admit(0)


def test_as_many_answers_are_decoded_together_as_leave_every_model_its_place(
    qwen: ResolvedModel,
) -> None:
    other = replace(qwen, label="second")
    assert planned(qwen, limit=64).batch.size == 8
    assert planned(qwen, limit=28).batch.size == 2
    assert planned(qwen, limit=21.5).batch.size == 1
    # Two that fit together one answer at a time are not driven apart by their caches.
    assert planned(qwen, other, limit=48).batch.size < planned(qwen, limit=48).batch.size
    assert len(planned(qwen, other, limit=48).groups) == 1
    assert planned(qwen, limit=64, settings=RunOptions(batch=3)).batch.size == 3
    assert (
        planned(qwen, limit=64).needs[0].kv_cache
        == 8 * planned(qwen, limit=64, settings=RunOptions(batch=1)).needs[0].kv_cache
    )


def test_answers_of_a_set_are_planned_by_its_longest_conversation(qwen: ResolvedModel) -> None:
    short = [Question("a", "", ("你好" * 20,)), Question("b", "", ("hello",))]
    assert plan.longest_conversation(short, RunOptions()) == 60 + 512 + 64
    assert planned(qwen, limit=28, questions=short).batch == plan.BatchLimits(8, 636)
    alone = planned(qwen, limit=28, settings=RunOptions(batch=1)).needs[0]
    held = planned(qwen, limit=28, questions=short).needs[0]
    assert held.kv_cache / alone.kv_cache == pytest.approx((2048 + 7 * 636) / 2048)
    turns = [Question("c", "", ("a" * 100, "b" * 100), system="s" * 50)]
    assert plan.longest_conversation(turns, RunOptions(max_new_tokens=100)) == 125 + 2 * 164
    assert plan.longest_conversation(turns, RunOptions(max_new_tokens=0)) == 0, (
        "no bound, no figure"
    )
    huge = [Question("d", "", ("a" * 100_000,))]
    assert planned(qwen, limit=64, questions=huge).needs == planned(qwen, limit=64).needs


def test_a_batch_that_is_slower_in_sum_is_not_planned(qwen: ResolvedModel) -> None:
    key = format_speeds.model_key(qwen.parameters, "bf16")

    def size(known: FormatSpeeds, asked: int = 0) -> int:
        format_speeds.keep(known)
        return planned(qwen, limit=64, settings=RunOptions(batch=asked)).batch.size

    assert size(FormatSpeeds()) == 8
    of_format = {"bf16": {1: 10.0, 2: 15.0, 4: 20.0, 8: 9.0}, "int8": {1: 1.0, 4: 0.5}}
    assert size(FormatSpeeds("torch", "", of_format)) == 4
    assert size(FormatSpeeds("torch", "", of_format, {key: {1: 5.0, 8: 6.0}})) == 8
    assert size(FormatSpeeds("torch", "", {}, {key: {1: 5.0, 2: 4.0, 4: 3.0, 8: 2.0}})) == 1
    assert size(FormatSpeeds("torch", "", of_format), asked=8) == 8, "a person's word"
    both = qwen, replace(qwen, label="other", dtype="int8")
    assert planned(*both, limit=64).batch.size == 2
