"""Sizes and times in words, for people."""


def size(count: int) -> str:
    """A number of bytes in decimal units, as disks and networks count."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 999.5:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} GB" if value < 99.95 else f"{value:.0f} GB"


def duration(seconds: float) -> str:
    """Seconds as ``8s``, ``2m05s`` or ``1h12m``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
