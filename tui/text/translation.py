"""What the program says outside of the screen and of reports, in the language of its user.

Rooms, worker processes and session files say what they have to say in English. Where a person
reads it, it is translated (`tui.text.chinese`).

Every start of the program imports this module: it imports nothing before there is something to
translate.
"""

LANGUAGES = ("en", "zh")

_language = "en"


def speak(language: str) -> None:
    """Choose the language of `tr` for this process, one of `LANGUAGES`."""
    global _language
    _language = language if language in LANGUAGES else "en"


def language() -> str:
    """The language that was chosen with `speak`."""
    return _language


def tr(text: str) -> str:
    """An English text of the program in the language of its user."""
    return translate(text, _language)


def translate(text: str, language: str) -> str:
    """An English text of the program in a language, as it is where that has no text for it."""
    if language != "zh":
        if "1 " not in text:
            return text
        from tui.text.singular import in_singular

        return in_singular(text)
    from tui.text.chinese import find_chinese

    return find_chinese(text) or text
