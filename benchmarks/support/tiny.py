"""A whole checkpoint that loads and answers in no time: random weights, a real tokenizer."""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

END = "<|im_end|>"
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + "
    "'<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_PLAIN_TEMPLATE = TEMPLATE.replace(END, "").replace("<|im_start|>", "")
_CORPUS = ["the quick brown fox jumps over the lazy dog", "hello world, how are you?", "同济大学"]


def tokenizer() -> Tokenizer:
    """Byte-level BPE over all 256 bytes, so that most characters take several tokens."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_start|>", END],
        show_progress=False,
    )
    made.train_from_iterator(_CORPUS, trainer)
    made.add_special_tokens([AddedToken(t, special=True) for t in ("<|im_start|>", END)])
    return made


def config(**changes: Any) -> Any:
    """A Llama of four layers with grouped heads."""
    from transformers import LlamaConfig

    sizes = {
        "vocab_size": 320,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "initializer_range": 0.2,
    }
    return LlamaConfig(**(sizes | changes))


def write_llama(folder: Path, seed: int = 0, stop: int = 2, **changes: Any) -> Path:
    """The checkpoint folder; ``stop`` is the end-of-sequence id it names. Where that is not the
    token that ends a turn, the chat template has no control token either: random weights would
    choose it soon."""
    import torch
    from transformers import LlamaForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    LlamaForCausalLM(config(**{"eos_token_id": stop} | changes)).save_pretrained(folder)
    write_tokenizer(folder, stop)
    return folder


def write_tokenizer(folder: Path, stop: int = 2) -> None:
    """Tokenizer, chat template and generation config."""
    tokenizer().save(str(folder / "tokenizer.json"))
    said = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END if stop == 2 else None,
        "chat_template": TEMPLATE if stop == 2 else _PLAIN_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": stop}))
