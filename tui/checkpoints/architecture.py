"""Which family a checkpoint belongs to, told from its config.json alone (no torch).

Config keys of the four published families: Qwen-7B-Chat (two generations of keys),
ChatGLM3-6B, Baichuan2-7B-Chat, DeepSeek-LLM-7B-Chat as their config.json files have them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tui.checkpoints.config_numbers import check_numbers
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.native_types import (
    default_sizes,
    has_native_class,
    is_known_type,
    may_be_encoder,
    text_model_class,
    transposes_experts,
)
from tui.checkpoints.stored_quantisation import StoredQuantisation, read_quantisation

MAX_SIZE = 1 << 24
"""Largest believable value of any size in a config.json (a vocabulary, a context)."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a config.json says of a model, in one set of words for all families.

    ``family`` is ``qwen``, ``chatglm3``, ``baichuan2``, ``llama`` or ``general``;
    ``intermediate`` the width of the feed-forward part, ``context`` the longest prompt
    plus answer in tokens. ``is_native`` is False where only the checkpoint's own Python
    code could run it.
    """

    family: str
    model_type: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    context: int
    is_native: bool = True
    is_tied: bool = False
    """Whether the output head is the embeddings, also where both are stored."""
    is_composite: bool = False
    """Whether it is the text half of a model that also sees or hears."""
    text_model: str = ""
    """``MODULE.CLASS`` of transformers' text model, where it has no class that writes text of the
    text half's type."""
    predicting_layers: int = 0
    """Layers behind the last one that only predict more tokens at once."""
    cached_layers: int = 0
    """Layers that hold keys and values of every token."""
    text_type: str = ""
    """The model type of the text model; empty for a family with code of ours."""
    transposes_experts: bool = False
    """Whether the experts are stored as (inputs, outputs)."""
    quantisation: StoredQuantisation | None = None
    """How the files hold reduced weights; None where they hold whole ones."""

    @property
    def name(self) -> str:
        """What the world calls it: the model type, of the families with code of ours their own
        names, which say the generation too."""
        return self.model_type if self.family in ("general", "llama") else self.family


def read_architecture(config: Mapping[str, Any]) -> Architecture:
    """Read a config.json.

    Raises:
        CheckpointError: a model that is refused (``unsupported``), or sizes that are missing
            or cannot be (``damaged``).
    """
    kind = config.get("model_type")
    if not isinstance(kind, str) or not kind:
        raise CheckpointError(
            "unsupported",
            "config.json names no model_type",
            "name the folder of a chat model as it was published, or fetch it again",
        )
    config = whole_config(config)
    kind = str(config["model_type"])
    _refuse_other_modalities(config)
    check_numbers(config)
    readers = {"qwen": _qwen, "chatglm": _chatglm3, "baichuan": _baichuan2}
    found = readers[kind](config) if kind in readers else _general(kind, config)
    return replace(
        found,
        is_tied=states_tied(config) is True,
        cached_layers=found.cached_layers or found.layers,
        quantisation=read_quantisation(config),
    )


def states_tied(config: Mapping[str, Any]) -> bool | None:
    """Whether a config.json says that the output head is the embeddings; None where it says
    nothing. Of a composite checkpoint the whole decides, as in transformers."""
    key = "tie_word_embeddings"
    said = whole_config(config).get(key, text_config(config).get(key))
    return said if isinstance(said, bool) else None


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config.json that describes the text model: all of it, but for composite
    checkpoints."""
    inner = whole_config(config).get("text_config")
    return inner if isinstance(inner, dict) else config


def whole_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A config.json as that of a model that writes text: of one that also speaks (Qwen-Omni) the
    part that thinks, with what is said of all parts."""
    thinker = config.get("thinker_config")
    if not isinstance(thinker, dict):
        return config
    rest = {key: value for key, value in config.items() if key != "thinker_config"}
    return {**rest, "model_type": f"{config['model_type']}_thinker", **thinker}


_TOWERS = ("vision_config", "visual", "audio_config", "vision_tower", "mm_vision_tower")
"""Keys of a config.json of what sees or hears."""


def _is_composite(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is that of a text half with others. The first ones of Qwen2-VL have
    what is said of the text beside the other halves."""
    is_flat = any(config.get(key) for key in _TOWERS) and _own_text_type(config)
    return text_config(config) is not config or bool(is_flat)


def _has_text_half(config: Mapping[str, Any]) -> bool:
    """Whether a composite checkpoint's text half is a model that transformers has a class for."""
    return _is_composite(config) and is_known_type(str(config["model_type"])) and _is_native(config)


def _is_native(config: Mapping[str, Any]) -> bool:
    return has_native_class(_text_type(config)) or bool(_text_model(config))


def _text_model(config: Mapping[str, Any]) -> str:
    is_whole = _is_composite(config)
    return text_model_class(str(config["model_type"]), _text_type(config)) if is_whole else ""


def _own_text_type(config: Mapping[str, Any]) -> str:
    """The type that transformers names after the whole's (``KIND_text``); empty without one."""
    names = (f"{config['model_type']}{end}" for end in ("_text", "_text_model"))
    return next((name for name in names if is_known_type(name)), "")


def _text_type(config: Mapping[str, Any]) -> str:
    """The model type of a config.json's text model. Where a text half names none it has the name
    of the whole behind which stands ``_text``."""
    kind, text = str(config["model_type"]), text_config(config)
    if text is config:
        return (_own_text_type(config) or kind) if _is_composite(config) else kind
    return str(text.get("model_type") or _own_text_type(config) or kind)


def _refuse_other_modalities(config: Mapping[str, Any]) -> None:
    for key in _TOWERS:
        if config.get(key) and not _has_text_half(config):
            raise CheckpointError(
                "unsupported",
                f"a model for images or sound ({key} in config.json) whose text half "
                "transformers cannot run alone",
                "use a chat model for text",
            )
    if config.get("is_encoder_decoder"):
        raise CheckpointError("unsupported", "an encoder-decoder model is not a chat model")
    named = config.get("architectures")
    classes = [str(one) for one in named] if isinstance(named, list) else []
    if classes and all(_writes_no_text(one, config) for one in classes):
        raise CheckpointError(
            "unsupported",
            f"{classes[0][:60]} writes no text: it is not a chat model",
            "use a chat model",
        )


_NO_WRITERS = ("ForMaskedLM", "Classification", "ForQuestionAnswering", "ForMultipleChoice")
"""Ends of the names of classes with another head than one that writes text."""


def _writes_no_text(name: str, config: Mapping[str, Any]) -> bool:
    """Whether a class that a config.json names reads texts and writes none."""
    is_encoder = config.get("is_decoder") is not True and may_be_encoder(str(config["model_type"]))
    return name.endswith(_NO_WRITERS) or (is_encoder and name.endswith("Model"))


def _size(config: Mapping[str, Any], *keys: str, default: int | None = None) -> int:
    for key in keys:
        value = config.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_SIZE:
            raise CheckpointError("damaged", f"config.json: {key} cannot be {str(value)[:40]}")
        return value
    if default is None:
        raise CheckpointError("damaged", f"config.json has no {keys[0]}")
    return default


def _qwen(config: Mapping[str, Any]) -> Architecture:
    hidden = _size(config, "hidden_size", "n_embd")
    heads = _size(config, "num_attention_heads", "n_head")
    return Architecture(
        family="qwen",
        model_type="qwen",
        layers=_size(config, "num_hidden_layers", "n_layer"),
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=_size(config, "kv_channels", default=hidden // heads),
        # The published value counts gate and up together.
        intermediate=_size(config, "intermediate_size", "ffn_hidden_size") // 2,
        vocab=_size(config, "vocab_size", "padded_vocab_size"),
        # Beyond seq_length upstream changes the rotary base and scales queries.
        context=_size(config, "seq_length", default=2048),
    )


def _chatglm3(config: Mapping[str, Any]) -> Architecture:
    name = str(config.get("_name_or_path", "")).lower()
    if config.get("quantization_bit"):
        raise CheckpointError(
            "unsupported", "quantised by ChatGLM's own code, which is not read", "use ChatGLM3-6B"
        )
    if "position_encoding_2d" in config or "inner_hidden_size" in config:
        raise CheckpointError(
            "unsupported", "ChatGLM (the first) is not supported", "use ChatGLM3-6B"
        )
    older = config.get("seq_length") == 32768 and "rope_ratio" not in config
    if "chatglm2" in name or older:
        raise CheckpointError("unsupported", "ChatGLM2 is not supported", "use ChatGLM3-6B")
    if "glm-4" in name or _size(config, "padded_vocab_size") > 65024:
        raise CheckpointError(
            "unsupported",
            "GLM-4 in its first format is not supported",
            "use the checkpoint of the same model whose name ends in -hf",
        )
    heads = _size(config, "num_attention_heads")
    hidden = _size(config, "hidden_size")
    grouped = bool(config.get("multi_query_attention"))
    return Architecture(
        family="chatglm3",
        model_type="chatglm",
        layers=_size(config, "num_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=_size(config, "multi_query_group_num") if grouped else heads,
        head_dim=_size(config, "kv_channels", default=hidden // heads),
        intermediate=_size(config, "ffn_hidden_size"),
        vocab=_size(config, "padded_vocab_size"),
        context=_size(config, "seq_length"),
    )


def _baichuan2(config: Mapping[str, Any]) -> Architecture:
    hidden = _size(config, "hidden_size")
    if hidden == 5120 or "max_position_embeddings" not in config:
        raise CheckpointError(
            "unsupported",
            "Baichuan 13B (ALiBi attention) is not supported",
            "use Baichuan2-7B-Chat",
        )
    if config.get("vocab_size") == 64000:
        raise CheckpointError(
            "unsupported", "Baichuan (the first) is not supported", "use Baichuan2-7B-Chat"
        )
    heads = _size(config, "num_attention_heads")
    return Architecture(
        family="baichuan2",
        model_type="baichuan",
        layers=_size(config, "num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        intermediate=_size(config, "intermediate_size"),
        vocab=_size(config, "vocab_size"),
        context=_size(config, "model_max_length", "max_position_embeddings"),
    )


def _general(kind: str, config: Mapping[str, Any]) -> Architecture:
    is_native = _is_native(config)
    if not is_native and is_known_type(kind) and not config.get("auto_map"):
        raise CheckpointError(
            "unsupported",
            f"transformers has no class of the type {kind[:40]} that writes text by itself",
            "use a chat model",
        )
    text = text_config(config)
    is_composite = _is_composite(config)
    if is_composite:
        # Published text halves name only the sizes that differ from their class's.
        text = {**default_sizes(_text_type(config)), **text}
    hidden = _size(text, "hidden_size", "n_embd", "d_model")
    heads = _size(text, "num_attention_heads", "n_head", default=1)
    return Architecture(
        family="llama" if kind == "llama" else "general",
        model_type=kind,
        layers=_size(_counted(text), "num_hidden_layers", "n_layer", "num_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=1 if _is_latent(text) else _size(text, "num_key_value_heads", default=heads),
        head_dim=_latent_width(text)
        if _is_latent(text)
        else _size(text, "head_dim", default=max(1, hidden // heads)),
        intermediate=_size(_widest(text), "intermediate_size", "n_inner", default=4 * hidden),
        vocab=_size(text, "vocab_size"),
        context=_size(text, "max_position_embeddings", "n_positions", default=2048),
        is_native=is_native,
        text_type=_text_type(config),
        transposes_experts=transposes_experts(_text_type(config)),
        is_composite=is_composite,
        text_model=_text_model(config),
        predicting_layers=_predicting_layers(text),
        cached_layers=_cached_layers(text),
    )


def _is_latent(config: Mapping[str, Any]) -> bool:
    """Whether attention is latent (MLA)."""
    return all(config.get(key) for key in ("kv_lora_rank", "qk_nope_head_dim", "v_head_dim"))


def _latent_width(config: Mapping[str, Any]) -> int:
    """Half of the values that latent attention caches of a token: what keys and values of all heads
    are made of, and the turned part of keys."""
    return -(-(_size(config, "kv_lora_rank") + _size(config, "qk_rope_head_dim", default=1)) // 2)


def _cached_layers(config: Mapping[str, Any]) -> int:
    """Layers whose cache grows with each token where others hold a state; 0 where all do, or
    nothing is said."""
    kinds, every = config.get("layer_types"), config.get("full_attention_interval")
    if isinstance(kinds, list) and any("linear" in str(kind) for kind in kinds):
        return sum("linear" not in str(kind) for kind in kinds)
    layers = config.get("num_hidden_layers")
    if type(every) is int and type(layers) is int and 0 < every <= layers:
        return layers // every
    return 0


def _widest(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A configuration with the width of the widest layer where each has its own (Gemma 3n)."""
    widths = config.get("intermediate_size")
    if isinstance(widths, list) and widths and all(type(one) is int for one in widths):
        return {**config, "intermediate_size": max(widths)}
    return config


def _counted(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A configuration with the number of its layers where it lists their kinds (Nemotron-H)."""
    kinds = config.get("layers_block_type")
    return {"num_hidden_layers": len(kinds), **config} if isinstance(kinds, list) else config


def _predicting_layers(config: Mapping[str, Any]) -> int:
    value = config.get("num_nextn_predict_layers")
    return value if isinstance(value, int) and 0 < value <= MAX_SIZE else 0
