"""The option parser's words for a wrong call, in words for people."""

import re

_FORMS = (
    (r"Value error, ", ""),
    (r"Input should be a valid integer.*", "it is a whole number"),
    (r"Input should be a valid number.*", "it is a number"),
    (r"Input should be greater than or equal to (\S+)", r"at least \1"),
    (r"Input should be less than or equal to (\S+)", r"at most \1"),
    (r"Input should be ", "it must be "),
    (r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", r"Got unexpected extra argument (\1)"),
)


def plain_words(message: str) -> str:
    """One line of a message of the parser, or of the library that checks values for it."""
    line = " ".join(message.split())
    for form, words in _FORMS:
        line = re.sub(form, words, line)
    return line
