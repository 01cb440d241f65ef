"""Baichuan2-7B-Chat as LlamaForCausalLM.

Layout and prompt as in the published modeling_baichuan.py (`W_pack`, `NormHead`) and
generation_utils.py (`build_chat_input`).
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tui.checkpoints.architecture import Architecture
from tui.worker.checkpoint import Turn
from tui.worker.load.families import (
    ChatFormat,
    Family,
    TensorRule,
    base_config,
    sentencepiece_model,
)
from tui.worker.load.families.general import CompletionTokenizer, read_optional_json
from tui.worker.load.families.text_tokenizer import TextChatTokenizer
from tui.worker.load.generation_defaults import sampling_defaults
from tui.worker.load.prompt_fitting import NO_LIMIT

ROLES = {"user": 195, "assistant": 196}
EOS = 2
DEFAULT_CONTEXT = 4096
DEFAULT_NEW = 2048

RULES = (
    TensorRule(
        r"model\.layers\.(\d+)\.self_attn\.W_pack\.weight",
        tuple(rf"model.layers.\1.self_attn.{part}_proj.weight" for part in "qkv"),
    ),
    TensorRule(r"lm_head\.weight", ("lm_head.weight",), normalise_rows=True),
    TensorRule(r".*rotary_emb\.inv_freq"),
)


def _native_config(config: Mapping[str, Any], known: Architecture, _: Path) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        **base_config(known),
        rms_norm_eps=float(config.get("rms_norm_eps", 1e-6)),
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=EOS,
    )


class Baichuan2SentencePiece:
    """Sentencepiece, where the two role markers are characters like any others.

    The model file has them as user-defined pieces, which any text would reach; a text is
    therefore cut within each of them. Nothing else can merge across the cut, because a
    user-defined piece is one that sentencepiece never merges with its neighbours.
    """

    def __init__(self, processor: Any) -> None:
        self._pieces = processor
        self.control_tokens = {processor.id_to_piece(n): n for n in ROLES.values()}
        self.prefix_ids: list[int] = []
        self._cut = re.compile(r"(?<=<res)(?=erved_10[67]>)")

    def encode_text(self, text: str) -> list[int]:
        ids: list[int] = []
        for part in self._cut.split(text):
            ids += self._pieces.encode(part)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        size, hidden = self._pieces.vocab_size(), {EOS, *ROLES.values()}
        text: str = self._pieces.decode([n for n in ids if n < size and n not in hidden])
        return text


class Baichuan2Tokenizer(TextChatTokenizer):
    """``max_new`` is what upstream reserves for an answer where nothing else is said."""

    def __init__(
        self, text_tokenizer: Baichuan2SentencePiece, context: int, vocab: int, max_new: int
    ) -> None:
        super().__init__(text_tokenizer, context, vocab)
        self._max_new = max_new

    def _max_prompt_tokens(self, max_new_tokens: int) -> int:
        if max_new_tokens:
            return self._context - max_new_tokens
        return max(self._context // 2, self._context - self._max_new)

    def _ids(self, turns: Sequence[Turn]) -> list[int]:
        ids: list[int] = []
        for role, content in turns:
            ids += [ROLES[role]] if role in ROLES else []
            ids += self.encode(content)
        return [*ids, ROLES["assistant"]]


def _chat_format(folder: Path, config: Mapping[str, Any], known: Architecture | None) -> ChatFormat:
    words = Baichuan2SentencePiece(sentencepiece_model.load_processor(folder))
    generation = read_optional_json(folder / "generation_config.json")
    context = known.context if known else _context(folder, config)
    vocab = known.vocab if known else NO_LIMIT
    # The base model publishes a generation_config.json without the roles' ids.
    base = bool(generation) and "user_token_id" not in generation
    sampling = sampling_defaults(generation)
    return ChatFormat(
        tokenizer=CompletionTokenizer(words, context, vocab)
        if base
        else Baichuan2Tokenizer(words, context, vocab, sampling.get("max_new_tokens", DEFAULT_NEW)),
        stop_ids=frozenset({EOS}),
        prompt_format="completion" if base else "baichuan2",
        sampling_defaults=sampling,
        notes=("a base model: the text is completed, not answered",) if base else (),
    )


def _context(folder: Path, config: Mapping[str, Any]) -> int:
    """The context where only tokenizer files are there."""
    for source in (config, read_optional_json(folder / "tokenizer_config.json")):
        value = source.get("model_max_length")
        if isinstance(value, int) and value > 0:
            return value
    return DEFAULT_CONTEXT


FAMILY = Family(
    name="baichuan2", native_config=_native_config, chat_format=_chat_format, rules=RULES
)
