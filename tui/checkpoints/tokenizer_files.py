"""The files that hold a checkpoint's words, of those families that have no code of their own."""

FAST = "tokenizer.json"
"""What the tokenizers library reads as it is."""
CONVERTED = ("tokenizer.model", "vocab.json", "spiece.model", "vocab.txt", "tiktoken.model")
"""What transformers makes such a one of."""
EVERY = (FAST, *CONVERTED)
