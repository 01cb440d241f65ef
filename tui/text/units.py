"""Formats bytes, durations and rates as short text with a unit."""

import math
import re

_LONGEST_MS = 1e15
"""30,000 years: a file of others may hold any number, also one that is infinite in microseconds."""
_TIME = re.compile(r"([0-9]{1,4}:){0,2}[0-9]{1,6}(\.[0-9]{1,6})?")


def format_size(count: int) -> str:
    """A number of bytes in decimal units, as disks and networks count."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 999.5:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} GB" if value < 99.95 else f"{value:.0f} GB"


def format_gigabytes(size: float) -> str:
    """Bytes in decimal gigabytes, without the unit: ``13.4``."""
    return f"{size / 1e9:.1f}"


def format_duration(seconds: float) -> str:
    """Seconds as ``8s``, ``2m05s`` or ``1h12m``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def format_memory(size: int) -> str:
    """Bytes as ``412 MB`` or ``13.4 GB`` (1 GB = 10^9 bytes)."""
    if size >= 9.95e9:
        return f"{size / 1e9:.0f} GB"
    if size >= 999.5e6:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB"


def format_milliseconds(value: float) -> str:
    """Milliseconds as ``412 ms``, ``3.2 s`` or ``2:05``."""
    if value < 1000:
        return f"{value:.0f} ms"
    if value < 100_000:
        return f"{value / 1000:.1f} s"
    return format_clock(int(min(value, _LONGEST_MS) * 1000))


def format_clock(us: int) -> str:
    """Microseconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, seconds = divmod(us // 1_000_000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def parse_clock(text: str) -> int | None:
    """Microseconds of a time as `format_clock` writes it, or of seconds (``83``, ``83.5``); None
    if it is neither."""
    if not _TIME.fullmatch(text.strip()):
        return None
    total = 0.0
    for part in text.strip().split(":"):
        total = total * 60 + float(part)
    return round(total * 1e6)


_SYMBOLS = {"USD": "$", "CNY": "¥", "EUR": "€", "GBP": "£"}


def format_money(amount: float, currency: str) -> str:
    """An amount with its currency's sign, else its code: ``$1.98``, ``¥0.0042``, ``12.00 CHF``.
    Less than a tenth is shown to three digits."""
    if amount >= 0.1 or amount == 0:
        text = f"{amount:.2f}"
    else:
        text = f"{amount:.{2 - math.floor(math.log10(amount))}f}" if amount > 1e-12 else "0.00"
    sign = _SYMBOLS.get(currency)
    return f"{sign}{text}" if sign else f"{text} {currency}".rstrip()


def format_rate(per_second: float) -> str:
    """Tokens per second as a figure without unit: ``27.1`` or ``130``."""
    return f"{per_second:.1f}" if per_second < 100 else f"{per_second:.0f}"
