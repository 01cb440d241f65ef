"""How many tokens a text has, estimated from its characters."""

_WIDE = ((0x2E80, 0x9FFF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0xFF00, 0xFFEF), (0x20000, 0x3FFFF))


def estimate(text: str) -> float:
    """Tokens of a text by the rule that DeepSeek publishes for its models (API documentation,
    "Token & Token Usage"): 0.6 for a Chinese (here: East Asian) character, 0.3 for another."""
    wide = sum(1 for c in text if c > "⺀" and any(a <= ord(c) <= b for a, b in _WIDE))
    return 0.6 * wide + 0.3 * (len(text) - wide)


def estimate_whole(text: str) -> int:
    """`estimate` as a number of tokens: whole, and none only for no text."""
    return max(1, round(estimate(text))) if text else 0


def most_tokens(text: str) -> int:
    """More tokens than a text can have: a vocabulary of bytes has none that is less than one."""
    return len(text.encode("utf-8", "replace"))
