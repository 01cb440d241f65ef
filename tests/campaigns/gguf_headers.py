"""GGUF files whose headers lie: each ends in an answer or in one typed error.

    python -m tests.campaigns.gguf_headers [--times 200] [--seed 1] [--kinds bytes values kinds]

`bytes` changes a few bytes of the header of a small model, `values` sets one key of its metadata
to another value (zero, one, huge, negative, of another type), `kinds` one of a model of any of some
architectures. Counted are answers and the causes of
errors, by what was changed; an error without a cause, a traceback or a worker that does not come
back is a failure. llama.cpp may end its process at a file that it was not made for: that is the
cause `crashed`, and the next file is loaded by a new worker.
"""

import argparse
import logging
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.figures import row
from tests.support.small_architectures import ARCHITECTURES, write_architecture
from tests.support.small_gguf import write_gguf
from tui.checkpoints.gguf_header import read_header
from tui.checkpoints.llama_cpp import PUBLISHED
from tui.engines.base import EngineError, Message, Request, SamplingOptions
from tui.engines.local import LocalEngine
from tui.events import Answered, Failed
from tui.host.errors import UserError

VALUES = (0, 1, 3, 7, 2**31 - 1, 2**32 - 1, -1, 1e30, "", "nonsense", True)
KEYS = (
    *("block_count", "context_length", "embedding_length", "feed_forward_length"),
    *("attention.head_count", "attention.head_count_kv", "attention.layer_norm_rms_epsilon"),
    *("attention.key_length", "rope.dimension_count", "rope.freq_base", "rope.scaling.factor"),
    *("rope.scaling.type", "vocab_size", "expert_count", "attention.sliding_window"),
)
OTHER_KEYS = (
    *("expert_used_count", "expert_feed_forward_length", "expert_shared_count"),
    *("leading_dense_block_count", "attention.q_lora_rank", "attention.kv_lora_rank"),
    *("attention.value_length", "attn_logit_softcapping", "final_logit_softcapping"),
    *("ssm.conv_kernel", "ssm.inner_size", "ssm.state_size", "ssm.time_step_rank"),
)
WORDS = ("model", "pre", "bos_token_id", "eos_token_id", "padding_token_id", "add_bos_token")


def main() -> None:
    """Run and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", default=list(MAKERS))
    given = parser.parse_args()
    logging.getLogger("gguf.gguf_writer").setLevel(logging.ERROR)
    chance, wrong = random.Random(given.seed), 0
    with tempfile.TemporaryDirectory() as folder:
        for kind in given.kinds:
            make = MAKERS[kind]
            found: Counter[str] = Counter()
            for number in range(given.times):
                what, path = make(Path(folder), chance)
                end = ended_as(path, Path(folder) / "log")
                found[end.partition(":")[0]] += 1
                if end in ("hung", "crashed"):
                    print(f"{kind} {number}: {what}: {end}", flush=True)
                if end.startswith("wrong"):
                    wrong += 1
                    print(f"{kind} {number}: {what}: {end}")
            row(kind, ", ".join(f"{end} {count}" for end, count in found.most_common()), "no wrong")
    sys.exit(1 if wrong else 0)


def ended_as(path: Path, log: Path) -> str:
    """``answered``, the cause of an error, or ``wrong: ...``."""
    engine = LocalEngine(path, PUBLISHED, 1, log, context=128)
    try:
        read_header(path)
        engine.load(lambda t_ns, body: None)
        sampling = SamplingOptions(greedy=True)
        bodies = engine.answer([Request(1, (Message("user", "hello"),), 4, sampling)])
        last = [body for _, body in bodies][-1]
        if isinstance(last, Answered):
            return "answered"
        return last.cause if isinstance(last, Failed) and last.message else f"wrong: {last}"
    except EngineError as error:
        is_told = error.cause and error.message and "\n" not in error.message
        return error.cause if is_told else f"wrong: {error!r}"
    except UserError as error:
        return "refused" if "\n" not in error.message else f"wrong: {error.message}"
    except Exception as error:  # what a stranger's file may not cause
        return f"wrong: {error!r}"
    finally:
        engine.close()


def _with_other_bytes(folder: Path, chance: random.Random) -> tuple[str, Path]:
    path = write_gguf(folder / "bytes.gguf")
    raw = bytearray(path.read_bytes())
    header = min(tensor.start for tensor in read_header(path).tensors)
    places = [chance.randrange(24, header) for _ in range(chance.choice((1, 1, 3)))]
    for place in places:
        raw[place] = chance.randrange(256)
    path.write_bytes(raw)
    return str(places), path


def _with_another_value(folder: Path, chance: random.Random) -> tuple[str, Path]:
    key = chance.choice(
        (*(f"llama.{one}" for one in KEYS), *(f"tokenizer.ggml.{w}" for w in WORDS))
    )
    value = chance.choice(VALUES)
    return f"{key} = {value!r}", write_gguf(folder / "values.gguf", metadata={key: value})


def _of_another_architecture(folder: Path, chance: random.Random) -> tuple[str, Path]:
    name, value = chance.choice(sorted(ARCHITECTURES)), chance.choice(VALUES)
    key = f"{name.partition(' ')[0]}.{chance.choice((*KEYS, *OTHER_KEYS))}"
    return f"{key} = {value!r}", write_architecture(folder / "kinds.gguf", name, **{key: value})


MAKERS = {
    "bytes": _with_other_bytes,
    "values": _with_another_value,
    "kinds": _of_another_architecture,
}

if __name__ == "__main__":
    main()
