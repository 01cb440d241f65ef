"""Llama and with it DeepSeek-LLM, and every other model that transformers has a class for:
config.json and tensor names are native already, the words come from tokenizer.json and
the chat template."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tui.checkpoints.architecture import Architecture
from tui.text.reasoning import OPEN, divider, plain
from tui.worker.load.chat_template import ChatTemplate
from tui.worker.load.families import Family, Rule, Words, general
from tui.worker.load.families.vocabulary import read_vocabulary
from tui.worker.load.generation_defaults import published
from tui.worker.load.prompt_fitting import NO_LIMIT


def _native_config(config: Mapping[str, Any], _: Architecture, folder: Path) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)


def words(folder: Path, config: Mapping[str, Any], known: Architecture | None) -> Words:
    tokenizer_config = general.optional_json(folder / "tokenizer_config.json")
    generation = general.optional_json(folder / "generation_config.json")
    vocabulary = read_vocabulary(folder)
    named = general.special_tokens(folder, tokenizer_config)
    stops = general.stop_ids(vocabulary.controls, named, generation, config)
    context = known.context if known else NO_LIMIT
    vocab = known.vocab if known else NO_LIMIT
    source = general.template_of(folder, tokenizer_config)
    if source is None:
        return Words(
            codec=general.CompletionCodec(vocabulary, context, vocab),
            stop_ids=stops,
            prompt_format="completion",
            sampling=published(generation),
            notes=("no chat format: the text is completed, not answered",),
        )
    codec = general.TemplateCodec(vocabulary, ChatTemplate(source, named), context, vocab)
    begins_open = codec.generation_prompt().rstrip().endswith(OPEN)
    thinks = OPEN in source or OPEN in vocabulary.controls
    return Words(
        codec=codec,
        stop_ids=stops,
        prompt_format="template",
        visible=divider(begins_open, complete=False) if thinks else plain,
        finished=divider(begins_open, complete=True) if thinks else plain,
        sampling=published(generation),
    )


FAMILY = Family(
    name="llama",
    native_config=_native_config,
    words=words,
    rules=(Rule(r".*rotary_emb\.inv_freq"),),
)
