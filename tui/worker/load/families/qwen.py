"""Qwen-7B-Chat and its sizes (the first Qwen), as Qwen2ForCausalLM.

Layout, prompt and window as in the published modeling_qwen.py, tokenization_qwen.py and
qwen_generation_utils.py (`make_context`): upstream's feed-forward is ``w1(x) * silu(w2(x))``.
"""

import base64
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tiktoken

from tui.checkpoints.architecture import Architecture
from tui.checkpoints.errors import CheckpointError
from tui.worker.checkpoint import Turn
from tui.worker.load.families import ChatFormat, Family, TensorRule, base_config
from tui.worker.load.families.general import read_optional_json
from tui.worker.load.families.text_tokenizer import read_tokenizer_file
from tui.worker.load.generation_defaults import sampling_defaults
from tui.worker.load.prompt_fitting import NO_LIMIT, ChatRounds, FittedTokenizer

ENDOFTEXT, IM_START, IM_END = 151643, 151644, 151645
RANKS = 151643
DEFAULT_SYSTEM = "You are a helpful assistant."
DEFAULT_WINDOW = 6144

_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_BLOCK = r"transformer\.h\.(\d+)\."
_LAYER = r"model.layers.\1."

RULES = (
    TensorRule(r"transformer\.wte\.weight", ("model.embed_tokens.weight",)),
    TensorRule(r"transformer\.ln_f\.weight", ("model.norm.weight",)),
    TensorRule(_BLOCK + r"ln_1\.weight", (_LAYER + "input_layernorm.weight",)),
    TensorRule(_BLOCK + r"ln_2\.weight", (_LAYER + "post_attention_layernorm.weight",)),
    TensorRule(
        _BLOCK + r"attn\.c_attn\.(weight|bias)",
        tuple(_LAYER + rf"self_attn.{part}_proj.\2" for part in "qkv"),
    ),
    TensorRule(_BLOCK + r"attn\.c_proj\.weight", (_LAYER + "self_attn.o_proj.weight",)),
    TensorRule(_BLOCK + r"mlp\.w2\.weight", (_LAYER + "mlp.gate_proj.weight",)),
    TensorRule(_BLOCK + r"mlp\.w1\.weight", (_LAYER + "mlp.up_proj.weight",)),
    TensorRule(_BLOCK + r"mlp\.c_proj\.weight", (_LAYER + "mlp.down_proj.weight",)),
    TensorRule(r".*rotary_emb\.inv_freq|.*attn\.(masked_)?bias"),
)


def _native_config(config: Mapping[str, Any], known: Architecture, _: Path) -> Any:
    from transformers import Qwen2Config

    if known.head_dim * known.heads != known.hidden:
        raise CheckpointError("damaged", "config.json: kv_channels * heads is not the hidden size")
    return Qwen2Config(
        **base_config(known),
        rms_norm_eps=float(config.get("layer_norm_epsilon", 1e-6)),
        rope_parameters={
            "rope_type": "default",
            "rope_theta": float(config.get("rotary_emb_base", 10000)),
        },
        tie_word_embeddings=bool(config.get("tie_word_embeddings", False)),
    )


class QwenTokenizer(FittedTokenizer):
    """ChatML with tiktoken ranks. ``window`` is upstream's `max_window_size`: how many ids
    of system and history may stand before the question."""

    def __init__(self, encoding: tiktoken.Encoding, context: int, vocab: int, window: int) -> None:
        super().__init__(context, vocab)
        self._encoding, self._window = encoding, window

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._encoding.encode_ordinary(unicodedata.normalize("NFC", text))
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._encoding.decode([n for n in ids if n < RANKS], errors="replace")
        return text

    def _rounds_outside_window(self, rounds: ChatRounds) -> int:
        """Rounds that upstream's window leaves out, however long the question is."""
        used = len(self._message("system", _system(rounds.system)))
        for index in range(len(rounds.rounds) - 2, -1, -1):
            used += sum(len(self._message(*turn)) + 1 for turn in rounds.rounds[index])
            if used >= self._window:
                return index + 1
        return 0

    def _ids(self, turns: Sequence[Turn]) -> list[int]:
        named = turns if turns[0][0] == "system" else [("system", DEFAULT_SYSTEM), *turns]
        newline = self.encode("\n")
        ids: list[int] = []
        for role, content in named:
            text = _system(content) if role == "system" else content
            ids += self._message(role, text) + newline
        return [*ids, IM_START, *self.encode("assistant"), *newline]

    def _message(self, role: str, content: str) -> list[int]:
        return [IM_START, *self.encode(role + "\n"), *self.encode(content), IM_END]


def _system(given: str | None) -> str:
    return given or DEFAULT_SYSTEM


class QwenCompletionTokenizer(QwenTokenizer):
    """For the base model (`chat_format` raw): the texts, one after another."""

    def _rounds_outside_window(self, rounds: ChatRounds) -> int:
        return 0

    def _ids(self, turns: Sequence[Turn]) -> list[int]:
        return self.encode("\n".join(content for _, content in turns))


def _encoding(folder: Path) -> tiktoken.Encoding:
    lines = read_tokenizer_file(folder / "qwen.tiktoken").splitlines()
    try:
        pairs = (line.split() for line in lines if line)
        ranks = {base64.b64decode(token): int(rank) for token, rank in pairs}
        if sorted(ranks.values()) != list(range(RANKS)):
            raise ValueError
        return tiktoken.Encoding("qwen", pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens={})
    except ValueError:
        raise CheckpointError(
            "damaged", f"qwen.tiktoken does not hold {RANKS} ranks", "fetch the file again"
        ) from None


def _chat_format(folder: Path, _: Mapping[str, Any], known: Architecture | None) -> ChatFormat:
    generation = read_optional_json(folder / "generation_config.json")
    window = generation.get("max_window_size")
    raw = generation.get("chat_format", "chatml") != "chatml"
    codec = (QwenCompletionTokenizer if raw else QwenTokenizer)(
        _encoding(folder),
        known.context if known else NO_LIMIT,
        known.vocab if known else NO_LIMIT,
        window if isinstance(window, int) and window > 0 else DEFAULT_WINDOW,
    )
    return ChatFormat(
        tokenizer=codec,
        stop_ids=frozenset({ENDOFTEXT} if raw else {ENDOFTEXT, IM_START, IM_END}),
        prompt_format="completion" if raw else "chatml",
        sampling_defaults=sampling_defaults(generation),
        notes=("a base model: the text is completed, not answered",) if raw else (),
    )


FAMILY = Family(name="qwen", native_config=_native_config, chat_format=_chat_format, rules=RULES)
