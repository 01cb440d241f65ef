"""``python -m tui.worker.check VERB PATH``: what the worker computes, row by row.

Reads one JSON list from standard input and prints one of the same length:

    logits PATH [--dtype fp32]     lists of ids -> one row of logits for each position
    greedy PATH [--dtype fp32] [--new 32] [--repetition-penalty 1.1]
                                   lists of ids -> the new ids; no stop id is applied
    encode PATH                    texts as message content -> ids
    decode PATH                    lists of ids -> texts
    chat PATH                      lists of messages -> the prompt's ids
    preview PATH                   lists of messages -> the prompt's text, its ids, and what is
                                   said of them; an error where tensors are missing

PATH is a checkpoint folder, or for all verbs behind ``greedy`` a GGUF file; for those before
``preview`` a folder may hold the tokenizer files only.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.gguf_parts import is_gguf
from tui.worker.checkpoint import Turn
from tui.worker.load.checkpoint_folder import CheckpointFolder, open_folder
from tui.worker.load.families import ChatFormat
from tui.worker.load.loader import open_chat_format, open_weights


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; 0, or 2 with one line on standard error."""
    given = _parser().parse_args(arguments)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_PROGRESS_BARS"):
        os.environ[name] = "1"
    try:
        rows = _rows(sys.stdin.read())
        answers = _VERBS[given.verb](given, rows)
    except CheckpointError as error:
        print(f"duibi: {error.message}", file=sys.stderr)
        if error.next_step:
            print(f"  -> {error.next_step}", file=sys.stderr)
        return 2
    json.dump(answers, sys.stdout, ensure_ascii=False, separators=(",", ":"))
    print()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tui.worker.check")
    parser.add_argument("verb", choices=_VERBS)
    parser.add_argument("path", type=Path)
    parser.add_argument("--dtype", choices=("fp32", "bf16", "fp16"), default="fp32")
    parser.add_argument("--new", type=int, default=32)
    parser.add_argument("--repetition-penalty", type=float, default=1.0)
    return parser


def _unsupported(message: str) -> CheckpointError:
    return CheckpointError("unsupported", message)


def _rows(text: str) -> list[Any]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError):
        rows = None
    if not isinstance(rows, list):
        raise _unsupported("standard input is not a JSON list")
    return rows


def _ids(row: Any, limit: int | None = None) -> list[int]:
    if not isinstance(row, list) or not all(type(n) is int and n >= 0 for n in row):
        raise _unsupported("a row is not a list of token ids")
    if limit is not None and (not row or max(row) >= limit):
        raise _unsupported(f"a row is empty or has an id above the vocabulary of {limit}")
    return row


def _parse_messages(row: Any) -> list[Turn]:
    match row:
        case [*messages] if all(isinstance(m, dict) for m in messages):
            pairs = [(m.get("role"), m.get("content")) for m in messages]
        case _:
            raise _unsupported("a row is not a list of messages")
    if not all(isinstance(role, str) and isinstance(text, str) for role, text in pairs):
        raise _unsupported("a message needs role and content as text")
    return pairs


def _check_context(folder: CheckpointFolder, tokens: int) -> None:
    context = folder.architecture.context
    if tokens > context:
        raise CheckpointError(
            "too_long",
            f"{tokens} tokens exceed the context of {context}",
            "give fewer ids",
        )


def _logits(options: argparse.Namespace, rows: list[Any]) -> list[Any]:
    folder = open_folder(options.path)
    for row in rows:
        _check_context(folder, len(_ids(row, folder.architecture.vocab)))
    import torch

    _, model = open_weights(options.path, options.dtype)
    with torch.inference_mode():
        return [model(torch.tensor([row])).logits[0].float().tolist() for row in rows]


def _greedy(options: argparse.Namespace, rows: list[Any]) -> list[Any]:
    folder = open_folder(options.path)
    for row in rows:
        # The context bounds what is given; no stop is applied to what is made of it.
        _check_context(folder, len(_ids(row, folder.architecture.vocab)))
    import torch

    from tui.worker.control import Control
    from tui.worker.decode.generate import generate_ids
    from tui.worker.decode.sampling import SamplingParams

    _, model = open_weights(options.path, options.dtype)
    sampling = SamplingParams(greedy=True, repetition_penalty=options.repetition_penalty)
    with torch.inference_mode():
        return [
            list(generate_ids(model, "cpu", row, sampling, options.new, Control())) for row in rows
        ]


def _encode(options: argparse.Namespace, rows: list[Any]) -> list[Any]:
    if not all(isinstance(row, str) for row in rows):
        raise _unsupported("a row is not a text")
    codec = _open_words(options.path).tokenizer
    return [codec.encode(row) for row in rows]


def _decode(options: argparse.Namespace, rows: list[Any]) -> list[Any]:
    codec = _open_words(options.path).tokenizer
    return [codec.decode(_ids(row)) for row in rows]


def _open_words(path: Path) -> ChatFormat:
    if is_gguf(path):
        from tui.worker.gguf.published import open_words

        return open_words(path)
    return open_chat_format(path)


def _chat(options: argparse.Namespace, rows: list[Any]) -> list[Any]:
    codec = _open_words(options.path).tokenizer
    return [codec.encode_chat(_parse_messages(row)).ids for row in rows]


def _preview(options: argparse.Namespace, rows: list[Any]) -> list[Any]:
    words = _open_words(options.path)
    if not is_gguf(options.path):
        from tui.worker.load.missing_tensors import require_all_tensors

        require_all_tensors(options.path)
    prompts = [words.tokenizer.encode_chat(_parse_messages(row)).ids for row in rows]
    return [[words.tokenizer.decode(ids), ids, list(words.notes)] for ids in prompts]


_VERBS: dict[str, Callable[[argparse.Namespace, list[Any]], list[Any]]] = {
    "logits": _logits,
    "greedy": _greedy,
    "encode": _encode,
    "decode": _decode,
    "chat": _chat,
    "preview": _preview,
}


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # What models and vocabularies hold is not given back piece by piece first.
    os._exit(code)
