"""BERTScore with an encoder of this machine: ``python -m tui.worker.bertscore FOLDER LAYER``.

T. Zhang et al., "BERTScore: Evaluating Text Generation with BERT" (ICLR 2020), without idf
weights and without rescaling: the tokens of both texts are embedded in context, each is
matched with the most similar one of the other text (cosine), F1 is of the mean similarities.
As in the authors' package (``bert_score`` 0.3.13), a special token can be what another token
is matched with, but has no part in the means.

A process of its own: one JSON object ``{"pairs": [[answer, reference], ...]}`` comes in on
stdin, one goes out on stdout, ``{"layer": n, "f1": [...]}`` or ``{"error": "one line"}``.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

MAX_TOKENS = 512
"""Of each text, or what the encoder takes: the rest is not compared."""


TokenEmbeddings = tuple[torch.Tensor, torch.Tensor]
"""A text's tokens in context, (n, d) with rows of length 1, and which count, (n,) bool."""


def f1(answer: TokenEmbeddings, reference: TokenEmbeddings) -> float:
    """F1 of two texts; 0 where one has no token that counts."""
    if not answer[1].any() or not reference[1].any():
        return 0.0
    similar = answer[0] @ reference[0].T
    precision = similar.max(dim=1).values[answer[1]].mean().item()
    recall = similar.max(dim=0).values[reference[1]].mean().item()
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def default_layer(layers: int) -> int:
    """Three quarters up: about where the paper's authors found the best one (8 or 9 of 12)."""
    return max(1, round(0.75 * layers))


class Encoder:
    """An encoder with its tokenizer, loaded from a folder and from nowhere else."""

    def __init__(self, folder: Path, layer: int) -> None:
        """``layer`` counts from 1; 0 takes `default_layer`.

        Raises:
            ValueError: it has no such layer, or is no encoder.
            OSError: the folder holds no model.
        """
        from transformers import AutoModel, AutoTokenizer

        here = {"local_files_only": True, "trust_remote_code": False}
        self._tokenizer = AutoTokenizer.from_pretrained(str(folder), **here)
        self._model = AutoModel.from_pretrained(str(folder), dtype=torch.float32, **here).eval()
        config = self._model.config
        if getattr(config, "is_encoder_decoder", False):
            raise ValueError("it is no encoder alone")
        layers = int(config.num_hidden_layers)
        self.layer = layer or default_layer(layers)
        if self.layer > layers:
            raise ValueError(f"it has {layers} layers, not {self.layer}")
        room = int(getattr(config, "max_position_embeddings", MAX_TOKENS))
        self._max_tokens = min(MAX_TOKENS, room, self._tokenizer.model_max_length)

    def embed(self, text: str) -> TokenEmbeddings:
        """The tokens of a text; special ones do not count."""
        found = self._tokenizer(
            text,
            truncation=True,
            max_length=self._max_tokens,
            return_special_tokens_mask=True,
            return_tensors="pt",
        )
        counts = found.pop("special_tokens_mask")[0] == 0
        out: Any = self._model(**found, output_hidden_states=True)
        hidden = out.hidden_states[self.layer][0]
        return torch.nn.functional.normalize(hidden, dim=-1), counts


def scores(encoder: Encoder, pairs: Sequence[tuple[str, str]]) -> list[float]:
    """F1 of each (answer, reference); a reference of several answers is embedded once."""
    known: dict[str, TokenEmbeddings] = {}
    found = []
    for answer, reference in pairs:
        if reference not in known:
            known[reference] = encoder.embed(reference)
        found.append(f1(encoder.embed(answer), known[reference]))
    return found


def main() -> None:
    """Answer one request. Libraries that print do so on stderr."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        with torch.inference_mode():
            encoder = Encoder(Path(sys.argv[1]), int(sys.argv[2]))
            found = scores(encoder, json.load(sys.stdin)["pairs"])
    except Exception as error:
        line = " ".join(str(error).split())[:300] or type(error).__name__
        print(json.dumps({"error": line}), file=answer)
    else:
        print(json.dumps({"layer": encoder.layer, "f1": found}), file=answer)


if __name__ == "__main__":
    main()
