"""How a server is set otherwise than the captured one was: told, and changed by nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def differing(captured: Mapping[str, str | None], there: Mapping[str, str | None]) -> list[str]:
    """Names whose value another server does not have, or does not know; of None the value is not known here."""
    return [name for name, value in captured.items() if value is not None and there.get(name) != value]


def set_otherwise(captured: Mapping[str, str | None], there: Mapping[str, str | None], file: str) -> Iterator[str]:
    """What a person should know of a server whose settings are `there`. `file` is where the snapshot has the values
    that are not known here."""
    if other := differing(captured, there):
        yield f"set at the source, and otherwise there: {', '.join(other)}; a restore changes no server's settings"
    if words := [name for name, value in captured.items() if value is None]:
        yield f"set at the source, to what only the backup holds ({file}): {', '.join(words)}"
