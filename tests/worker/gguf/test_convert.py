"""A GGUF file becomes a checkpoint once, with exactly the weights transformers sees in it."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Type
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from benchmarks.support import tiny
from benchmarks.support.demo import demo_gguf
from tests.support.small_gguf import (
    finish,
    write_gguf,
    write_words,
)
from tui.checkpoints import build_cache, gguf_cache, quantised_cache
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.gguf_header import read_header
from tui.engines.local import LocalEngine
from tui.models import remove as removal
from tui.models.conversion import conversion_sizes, kept_sizes
from tui.models.reference import parse_reference
from tui.worker.gguf import convert as worker_gguf
from tui.worker.gguf import weights
from tui.worker.gguf.convert import convert_gguf
from tui.worker.load.checkpoint_folder import open_folder
from tui.worker.load.loader import open_checkpoint

QWEN3_NORMS = {f"blk.{n}.attn_{one}_norm.weight": (16,) for n in range(2) for one in "qk"}


def _head_widths(arch: str) -> dict[str, Any]:
    return {f"{arch}.attention.{one}_length": 16 for one in ("key", "value")}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "tiny.gguf")


def convert(path: Path, cache: Path) -> Path:
    return convert_gguf(path, lambda done, total: None, cache)


def stock_weights(path: Path) -> dict[str, torch.Tensor]:
    config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    found = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)
    tensors: dict[str, Any] = found["tensors"]
    return tensors


def assert_same_weights(path: Path, folder: Path) -> None:
    """Those of the stock loader; it may give a tied head a second time."""
    stored, stock = load_file(folder / "model.safetensors"), stock_weights(path)
    assert set(stored) == set(stock)
    for name, value in stored.items():
        assert torch.equal(value.float(), stock[name]), name


def test_weights_are_exactly_those_of_the_stock_loader(small: Path, tmp_path: Path) -> None:
    folder = convert(small, tmp_path / "cache")
    assert_same_weights(small, folder)
    kinds = {value.dtype for value in load_file(folder / "model.safetensors").values()}
    assert kinds == {torch.float32, torch.float16, torch.bfloat16}


def test_the_folder_is_a_checkpoint_that_loads(small: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    folder = convert_gguf(small, lambda done, total: told.append((done, total)), tmp_path / "cache")
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1] > 0
    checkpoint = open_checkpoint(folder)
    model = checkpoint.build("fp32", lambda done, total: None)
    assert model(torch.tensor([[5, 6]])).logits.isfinite().all()
    prompt = checkpoint.tokenizer.encode_chat([("user", "hello 汉 12")], 10).ids
    assert checkpoint.tokenizer.decode(prompt) == "user\nhello 汉 12\nassistant\n"
    assert [id_ for id_ in prompt if id_ in (1, 2)] == [1, 2, 1]
    assert 2 in checkpoint.stop_ids


def test_quantised_values_are_stored_in_the_dtype_that_is_asked_for(
    small: Path, tmp_path: Path
) -> None:
    exact = load_file(convert(small, tmp_path / "cache") / "model.safetensors")
    folder = convert_gguf(small, lambda done, total: None, tmp_path / "cache", "bf16")
    found = load_file(folder / "model.safetensors")
    halved = [name for name, value in found.items() if value.dtype != exact[name].dtype]
    assert len(halved) > 5
    assert {found[name].dtype for name in halved} == {torch.bfloat16}
    for name, value in found.items():
        assert torch.equal(value.float(), exact[name].to(value.dtype).float())


def test_all_but_the_weights_tells_what_they_are(small: Path, tmp_path: Path) -> None:
    whole = open_folder(convert(small, tmp_path / "cache"))
    words = convert_gguf(small, lambda done, total: None, tmp_path / "cache", gguf_cache.WORDS)
    told = open_folder(words)
    assert told.parameters == whole.parameters
    assert {t.name: t.shape for t in told.tensors} == {t.name: t.shape for t in whole.tensors}
    assert sum(file.stat().st_size for file in words.iterdir()) < 200_000
    with pytest.raises(CheckpointError, match="holds no weights"):
        open_checkpoint(words).build("fp32", lambda done, total: None)


def test_a_split_model_is_converted_like_a_whole_one(small: Path, tmp_path: Path) -> None:
    whole = load_file(convert(small, tmp_path / "cache") / "model.safetensors")
    first = write_gguf(tmp_path / "parts.gguf", parts=3)
    split = load_file(convert(first, tmp_path / "cache") / "model.safetensors")
    assert set(split) == set(whole)
    assert all(torch.equal(split[name], whole[name]) for name in whole)


def test_the_width_of_heads_is_the_files(tmp_path: Path) -> None:
    file = write_gguf(
        tmp_path / "tiny.gguf", arch="qwen3", more=QWEN3_NORMS, metadata=_head_widths("qwen3")
    )
    folder = convert(file, tmp_path / "cache")
    assert json.loads((folder / "config.json").read_text())["head_dim"] == 16


def test_the_width_of_experts_is_the_files(tmp_path: Path) -> None:
    wide = {"gate": (2, 96, 64), "up": (2, 96, 64), "down": (2, 64, 96)}
    experts = {
        f"blk.{n}.ffn_{one}_exps.weight": shape for n in range(2) for one, shape in wide.items()
    }
    routers = {f"blk.{n}.ffn_gate_inp.weight": (2, 64) for n in range(2)}
    file = write_gguf(
        tmp_path / "tiny.gguf",
        arch="qwen3moe",
        without=[f"blk.{n}.ffn_{one}" for n in range(2) for one in wide],
        more=experts | routers | QWEN3_NORMS,
        metadata=_head_widths("qwen3moe")
        | {
            "qwen3moe.expert_count": 2,
            "qwen3moe.expert_used_count": 1,
            "qwen3moe.expert_feed_forward_length": 96,
        },
    )
    folder = convert(file, tmp_path / "cache")
    assert json.loads((folder / "config.json").read_text())["moe_intermediate_size"] == 96


@pytest.mark.parametrize(("odd", "scaled_by"), [(46, 16), (2, 8)])
def test_attention_is_scaled_as_llama_cpp_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: int, scaled_by: int
) -> None:
    """By the width of a head; in a model with the layers of the 27B by that of the hidden state."""
    monkeypatch.setitem(weights._ODD_LAYERS, "gemma2", odd)
    norms = {
        f"blk.{n}.post_{one}_norm.weight": (64,) for n in range(2) for one in ("attention", "ffw")
    }
    narrow = {
        f"blk.{n}.attn_{one}.weight": (rows, 64)
        for n in range(2)
        for one, rows in (("q", 128), ("k", 64), ("v", 64))
    }
    outputs = {f"blk.{n}.attn_output.weight": (64, 128) for n in range(2)}
    file = write_gguf(
        tmp_path / "tiny.gguf",
        arch="gemma2",
        head="none",
        without=[f"blk.{n}.attn_{one}" for n in range(2) for one in ("q", "k", "v", "output")],
        more=norms | narrow | outputs,
        metadata=_head_widths("gemma2")
        | {
            "gemma2.attention.head_count": 8,
            "gemma2.attention.head_count_kv": 4,
            "gemma2.attention.sliding_window": 128,
        },
    )
    config = json.loads((convert(file, tmp_path / "cache") / "config.json").read_text())
    assert config["query_pre_attn_scalar"] == scaled_by


@pytest.mark.parametrize("name", ["attn_v", "attn_output", "ffn_down"])
def test_a_bias_that_a_copy_would_lose_is_refused(tmp_path: Path, name: str) -> None:
    more = {f"blk.1.{name}.bias": (32 if name == "attn_v" else 64,)}
    path = write_gguf(tmp_path / "odd.gguf", more=more)
    with pytest.raises(CheckpointError, match=rf"{name}\.bias, which a converted copy would lose"):
        convert(path, tmp_path / "cache")


@pytest.mark.parametrize("head", ["none", "repeated"])
def test_a_tied_head_is_stored_once(tmp_path: Path, head: str) -> None:
    kinds = (Type.Q4_0,)
    file = write_gguf(tmp_path / "tied.gguf", head=head, kinds=kinds)
    folder = convert(file, tmp_path / "cache")
    stored = load_file(folder / "model.safetensors")
    assert "lm_head.weight" not in stored
    assert json.loads((folder / "config.json").read_text())["tie_word_embeddings"] is True
    # Of two copies the finer one is taken.
    coarse = load_file(
        convert(write_gguf(tmp_path / "c.gguf", head="none", kinds=kinds), tmp_path / "cache")
        / "model.safetensors"
    )["model.embed_tokens.weight"]
    is_coarse = torch.equal(stored["model.embed_tokens.weight"], coarse)
    assert is_coarse is (head == "none")


def test_reduced_weights_leave_no_copy_between_and_are_freed_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUIBI_CACHE_DIR", str(tmp_path / "cache"))
    file = write_gguf(tmp_path / "tiny.gguf", kinds=(Type.Q8_0,))
    engine = LocalEngine(file, "int8", 1, tmp_path / "log")
    _, told = conversion_sizes(file, "int8")
    try:
        engine.load(lambda t_ns, body: None)
    finally:
        engine.close()
    # A disk gives whole blocks, and the names of tensors are in no plan.
    assert kept_sizes(file)["int8"] - 32_768 < told < kept_sizes(file)["int8"] * 1.2
    assert [
        path.name.rpartition("-")[2] for path in gguf_cache.root().iterdir() if path.is_dir()
    ] == [gguf_cache.WORDS]
    assert [one.dtype for one in quantised_cache.entries()] == ["int8"]
    assert set(kept_sizes(file)) == {"int8"}
    assert conversion_sizes(file, "int8") == (0, 0)
    assert conversion_sizes(file, "bf16")[0] > 0
    removal.remove(removal.removable_paths(parse_reference(str(file))))
    assert not list(quantised_cache.entries())
    assert not [path for path in gguf_cache.root().iterdir() if path.is_dir()]
    assert file.exists()


def test_it_is_converted_once(small: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = convert(small, cache)
    made = (first / "model.safetensors").stat().st_mtime_ns
    assert convert(small, cache) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == made
    write_gguf(small)
    assert convert(small, cache) != first


@pytest.mark.parametrize("harm", ["short", "gone", "changed", "no manifest", "other boot"])
def test_what_is_damaged_is_made_anew(small: Path, tmp_path: Path, harm: str) -> None:
    folder = convert(small, tmp_path / "cache")
    weights, words = folder / "model.safetensors", folder / "tokenizer.json"
    whole = weights.read_bytes()
    match harm:
        case "short":
            weights.write_bytes(whole[:-10])
        case "gone":
            weights.unlink()
        case "changed":
            words.write_bytes(words.read_bytes().replace(b"hello", b"hullo"))
        case "no manifest":
            (folder / "duibi.json").write_text("{")
        case "other boot":
            said = build_cache.manifest(folder) | {"boot": "before"}
            (folder / "duibi.json").write_text(json.dumps(said))
            weights.write_bytes(whole[:-10] + bytes(10))
    assert convert(small, tmp_path / "cache") == folder
    assert weights.read_bytes() == whole
    assert not list(folder.parent.glob("*.part"))


def test_a_crash_leaves_nothing_that_is_taken_for_a_checkpoint(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "cache"
    folder = convert(small, left)
    shutil.rmtree(folder)
    dead = folder.with_name(folder.name + ".1.part")
    dead.mkdir()
    monkeypatch.setattr(worker_gguf, "_write_tokenizer", lambda *_: 1 / 0)
    with pytest.raises(CheckpointError, match="cannot convert"):
        convert(small, left)
    assert [p.name for p in left.iterdir()] == [folder.name + ".lock"]


def test_two_at_once_make_one(small: Path, tmp_path: Path) -> None:
    # flock holds between open files, so threads meet at it as processes do.
    told: list[int] = []

    def one(_: int) -> int:
        folder = convert_gguf(small, lambda done, total: told.append(done), tmp_path / "cache")
        return (folder / "model.safetensors").stat().st_ino

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(one, range(4)))) == 1
    assert told.count(0) == 1


def test_every_truncation_is_one_line(small: Path, tmp_path: Path) -> None:
    whole = small.read_bytes()
    header = min(tensor.start for tensor in read_header(small).tensors)
    bad = tmp_path / "bad.gguf"
    for end in [0, 3, 4, 8, 23, 24, *range(25, header, 997), header, len(whole) - 1]:
        bad.write_bytes(whole[:end])
        with pytest.raises(CheckpointError) as caught:
            read_header(bad)
        assert caught.value.cause == "damaged"
        assert "\n" not in caught.value.message


def test_any_byte_of_the_header_may_lie(small: Path, tmp_path: Path) -> None:
    whole = bytearray(small.read_bytes())
    header = min(tensor.start for tensor in read_header(small).tensors)
    bad = tmp_path / "bad.gguf"
    random = np.random.default_rng(1)
    for at in random.integers(0, header, 300):
        kept = whole[at]
        whole[at] ^= int(random.integers(1, 256))
        bad.write_bytes(whole)
        whole[at] = kept
        try:
            read_header(bad)
        except CheckpointError as error:
            assert error.cause in ("damaged", "unsupported")


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"pre": "deepseek-llm"}, "unsupported"),
        ({"arch": "nonsense"}, "unsupported"),
        ({"without": ["blk.1.ffn_up"]}, "unsupported"),
        ({"layers": 1_000_000}, "damaged"),
        ({"metadata": {"llama.vocab_size": 300}}, "damaged"),
        ({"kinds": (Type.Q8_0, Type.Q8_1)}, "unsupported"),
    ],
)
def test_what_cannot_be_converted_says_why(
    tmp_path: Path, changes: dict[str, Any], cause: str
) -> None:
    path = write_gguf(tmp_path / "odd.gguf", **changes)
    with pytest.raises(CheckpointError) as caught:
        convert(path, tmp_path / "cache")
    assert caught.value.cause == cause
    assert "odd.gguf" in caught.value.message
    assert "\n" not in caught.value.message


def test_a_full_disk_is_known_before(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(CheckpointError) as caught:
        convert(small, tmp_path / "cache")
    assert caught.value.cause == "no_space"
    assert "DUIBI_CACHE_DIR" in caught.value.next_step


def test_an_architecture_that_is_not_read_tensor_by_tensor(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "gpt2.gguf"
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_block_count(1)
    writer.add_context_length(1024)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(128)
    writer.add_head_count(2)
    writer.add_layer_norm_eps(1e-5)
    write_words(writer)
    vocab = tiny.tokenizer().get_vocab_size()
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocab, 32),
        "position_embd.weight": (1024, 32),
        "blk.0.attn_qkv.weight": (96, 32),
        "blk.0.attn_qkv.bias": (96,),
        "blk.0.attn_output.weight": (32, 32),
        "blk.0.attn_output.bias": (32,),
        "blk.0.ffn_up.weight": (128, 32),
        "blk.0.ffn_up.bias": (128,),
        "blk.0.ffn_down.weight": (32, 128),
        "blk.0.ffn_down.bias": (32,),
    }
    for norm in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        shapes |= {f"{norm}.weight": (32,), f"{norm}.bias": (32,)}
    for name, shape in shapes.items():
        values = random.standard_normal(shape, dtype=np.float32)
        kind = Type.Q8_0 if len(shape) == 2 else Type.F32
        raw = gguf.quantize(values, kind) if kind == Type.Q8_0 else values
        writer.add_tensor(name, raw, raw_dtype=kind)
    finish(writer)
    assert_same_weights(path, convert(path, tmp_path / "cache"))


@pytest.mark.slow
def test_the_demo_is_exactly_what_the_stock_loader_makes_of_it(tmp_path: Path) -> None:
    assert_same_weights(demo_gguf(), convert(demo_gguf(), tmp_path / "cache"))


def test_scaled_positions_are_refused_and_not_dropped(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", scaling="yarn")
    with pytest.raises(CheckpointError, match=r"scales its positions \(yarn\)") as error:
        convert(path, tmp_path / "cache")
    assert error.value.cause == "unsupported"
