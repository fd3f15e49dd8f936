"""Numbers written for people."""


def byte_count(count: float) -> str:
    """'1.3 GB'; decimal units, as disks are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"


def duration(seconds: float) -> str:
    """'2 h 5 min', '3 min 20 s', '8 s'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def counted(count: int, noun: str) -> str:
    """'1 group', '3 groups'."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
