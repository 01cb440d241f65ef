"""ChatGLM3-6B as GlmForCausalLM.

Layout, prompt and the shape of an answer as in the published modeling_chatglm.py and
tokenization_chatglm.py (`build_chat_input`, `process_response`). Upstream evaluates what
the model writes where tools are given; here tools are never given and nothing is evaluated.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tui.checkpoints.architecture import Architecture
from tui.text.thought import FunctionSplitter
from tui.worker.checkpoint import Turn
from tui.worker.load.families import (
    ChatFormat,
    Family,
    TensorRule,
    base_config,
    sentencepiece_model,
)
from tui.worker.load.families.general import read_optional_json
from tui.worker.load.generation_defaults import sampling_defaults
from tui.worker.load.prompt_fitting import NO_LIMIT, FittedTokenizer

PREFIX = (64790, 64792)
"""[gMASK] and sop."""
ROLES = {"system": 64794, "user": 64795, "assistant": 64796}
OBSERVATION = 64797
EOS = 2
AFTER_ROLE = (30910, 13)
"""What upstream's "\\n" behind an empty metadata line becomes."""

DEFAULT_SAMPLING = {"do_sample": True, "top_p": 0.8, "temperature": 0.8}
"""From the signature of upstream's `encode_chat`; the checkpoint has no generation_config.json."""

_FROM = r"transformer\.encoder\.layers\.(\d+)\."
_TO = r"model.layers.\1."


def _qkv_rows(known: Architecture) -> tuple[int, ...]:
    return (
        known.heads * known.head_dim,
        known.kv_heads * known.head_dim,
        known.kv_heads * known.head_dim,
    )


RULES = (
    TensorRule(r"transformer\.embedding\.word_embeddings\.weight", ("model.embed_tokens.weight",)),
    TensorRule(r"transformer\.output_layer\.weight", ("lm_head.weight",)),
    TensorRule(r"transformer\.encoder\.final_layernorm\.weight", ("model.norm.weight",)),
    TensorRule(
        _FROM + r"(input|post_attention)_layernorm\.weight",
        (_TO + r"\2_layernorm.weight",),
    ),
    TensorRule(
        _FROM + r"self_attention\.query_key_value\.(weight|bias)",
        tuple(_TO + rf"self_attn.{part}_proj.\2" for part in "qkv"),
        split_rows=_qkv_rows,
    ),
    TensorRule(_FROM + r"self_attention\.dense\.weight", (_TO + "self_attn.o_proj.weight",)),
    TensorRule(_FROM + r"mlp\.dense_h_to_4h\.weight", (_TO + "mlp.gate_up_proj.weight",)),
    TensorRule(_FROM + r"mlp\.dense_4h_to_h\.weight", (_TO + "mlp.down_proj.weight",)),
    TensorRule(r"transformer\.rotary_pos_emb\.inv_freq"),
)


def _native_config(config: Mapping[str, Any], known: Architecture, _: Path) -> Any:
    from transformers import GlmConfig

    return GlmConfig(
        **base_config(known),
        head_dim=known.head_dim,
        rms_norm_eps=float(config.get("layernorm_epsilon", 1e-5)),
        attention_bias=bool(config.get("add_qkv_bias", True)),
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 10000.0 * float(config.get("rope_ratio", 1)),
            "partial_rotary_factor": 0.5,
        },
        tie_word_embeddings=bool(config.get("tie_word_embeddings", False)),
        pad_token_id=0,
        eos_token_id=[EOS],
    )


class ChatGLM3Tokenizer(FittedTokenizer):
    """Sentencepiece ids of the contents between role ids that no text can reach."""

    def __init__(self, processor: Any, context: int, vocab: int) -> None:
        super().__init__(context, vocab)
        self._pieces = processor

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._pieces.encode(text)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        size = self._pieces.vocab_size()
        text: str = self._pieces.decode([n for n in ids if n < size])
        return text

    def _ids(self, turns: Sequence[Turn]) -> list[int]:
        ids = [*PREFIX]
        for role, content in turns:
            ids += [ROLES[role], *AFTER_ROLE, *self.encode(content)]
        return [*ids, ROLES["assistant"]]


def split_partial(answer: str) -> tuple[str, str]:
    """An answer is "metadata, newline, content"; only the content is for a reader.

    While no newline has come, what could be the name of a tool is held back.
    """
    first, newline, _ = answer.partition("\n")
    if not newline and _is_metadata(first):
        return "", ""
    _, text = split_complete(answer)
    for length in range(len(_DATE) - 1, 0, -1):
        if text.endswith(_DATE[:length]):
            return "", text[:-length]
    return "", text


def split_complete(answer: str) -> tuple[str, str]:
    """The same of a complete answer; one without a newline is all content."""
    first, newline, rest = answer.partition("\n")
    content = rest if newline and _is_metadata(first) else answer
    return "", content.strip().replace(_DATE, "2023年")


def _is_metadata(line: str) -> bool:
    # Upstream takes any first line for a tool's name; a sentence never is one.
    name = line.strip()
    return not name or (name.isascii() and name.replace("_", "a").isalnum() and len(name) <= 64)


_DATE = "[[训练时间]]"
"""What the model was taught to write for the end of its training; upstream puts the year."""


def _chat_format(folder: Path, _: Mapping[str, Any], known: Architecture | None) -> ChatFormat:
    codec = ChatGLM3Tokenizer(
        sentencepiece_model.load_processor(folder),
        known.context if known else NO_LIMIT,
        known.vocab if known else NO_LIMIT,
    )
    generation = read_optional_json(folder / "generation_config.json")
    return ChatFormat(
        tokenizer=codec,
        stop_ids=frozenset({EOS, ROLES["user"], OBSERVATION}),
        prompt_format="chatglm3",
        new_splitter=lambda _: FunctionSplitter(split_partial, split_complete),
        sampling_defaults={**DEFAULT_SAMPLING, **sampling_defaults(generation)},
    )


FAMILY = Family(
    name="chatglm3", native_config=_native_config, chat_format=_chat_format, rules=RULES
)
