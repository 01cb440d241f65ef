"""Llama and with it DeepSeek-LLM, and every other model that transformers has a class for:
config.json and tensor names are native already, the words come from tokenizer.json and
the chat template."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tui.checkpoints import tokenizer_files
from tui.checkpoints.architecture import Architecture, text_config
from tui.worker.load.chat_template import ChatTemplate
from tui.worker.load.families import ChatFormat, Family, TensorRule, general, sentencepiece_text
from tui.worker.load.families.fast_tokenizer import read_tokenizer
from tui.worker.load.families.text_tokenizer import ControlTokenizer
from tui.worker.load.generation_defaults import sampling_defaults
from tui.worker.load.prompt_fitting import NO_LIMIT


def _native_config(config: Mapping[str, Any], known: Architecture, folder: Path) -> Any:
    from transformers import AutoConfig

    made = AutoConfig.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    if not known.is_composite:
        return made
    text = made.get_text_config()
    made = getattr(made, "thinker_config", made)
    # The whole decides whether the head is the embeddings, also by its class's default.
    if isinstance(tied := getattr(made, "tie_word_embeddings", None), bool):
        text.tie_word_embeddings = tied
    return text


def read_chat_format(
    folder: Path, config: Mapping[str, Any], known: Architecture | None, template: str = ""
) -> ChatFormat:
    """The ``template`` given, else the checkpoint's own; without one, its texts are just
    continued."""
    tokenizer_config = general.read_optional_json(folder / "tokenizer_config.json")
    generation = general.read_optional_json(folder / "generation_config.json")
    vocabulary = _vocabulary(folder)
    remarks = tuple(filter(None, [tokenizer_files.remark(folder)]))
    named = general.named_special_tokens(folder, tokenizer_config)
    stops = general.stop_ids(
        vocabulary.control_tokens, named, generation, config, text_config(config)
    )
    context = known.context if known else NO_LIMIT
    vocab = known.vocab if known else NO_LIMIT
    source = template or general.find_chat_template(folder, tokenizer_config)
    if source is None:
        return ChatFormat(
            tokenizer=general.CompletionTokenizer(vocabulary, context, vocab),
            stop_ids=stops,
            prompt_format="completion",
            sampling_defaults=sampling_defaults(generation),
            notes=("no chat format: the text is completed, not answered", *remarks),
        )
    codec = general.TemplateTokenizer(vocabulary, ChatTemplate(source, named), context, vocab)
    controls = vocabulary.control_tokens
    words = general.template_format(
        codec, controls, stops | codec.turn_ends(), sampling_defaults(generation)
    )
    return replace(words, notes=(*words.notes, *remarks))


def _vocabulary(folder: Path) -> ControlTokenizer:
    has_fast = (folder / tokenizer_files.FAST).is_file()
    pieces = None if has_fast else sentencepiece_text.find_file(folder)
    return sentencepiece_text.read_tokenizer(pieces) if pieces else read_tokenizer(folder)


FAMILY = Family(
    name="llama",
    native_config=_native_config,
    chat_format=read_chat_format,
    template_format=read_chat_format,
    rules=(
        TensorRule(r".*rotary_emb\.inv_freq"),
        # The text half of composite checkpoints, by both orders in which they are published.
        TensorRule(r"(?:model\.)?(?:language|text)_model\.(model|lm_head)\.(.*)", (r"\1.\2",)),
        TensorRule(r"model\.(?:language|text)_model\.(.*)", (r"model.\1",)),
        TensorRule(r"thinker\.(.*)", (r"\1",)),
    ),
)
