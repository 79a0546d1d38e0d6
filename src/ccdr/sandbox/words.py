"""What the Docker daemon, or the way to it, has answered, in words: never as Python shows it."""

from __future__ import annotations

from collections.abc import Iterator

UNANSWERED = "it took the question, and did not answer in time"


def told(error: BaseException) -> str:
    """One sentence. The daemon's own explanation where it gave one, else the system's reason beneath all layers."""
    explanation = getattr(error, "explanation", None)
    if explanation:
        return explanation.decode("utf-8", "replace") if isinstance(explanation, bytes) else str(explanation).strip()
    for cause in reversed(list(_layers(error))):
        if isinstance(cause, TimeoutError):
            return UNANSWERED
        if isinstance(cause, OSError) and cause.errno is not None and cause.strerror:
            return str(cause.strerror)
    return str(error).strip() or type(error).__name__


def denied(error: BaseException) -> bool:
    """Does the daemon, or its socket, refuse this user?"""
    return any(isinstance(cause, PermissionError) for cause in _layers(error))


def _layers(error: BaseException) -> Iterator[BaseException]:
    """From the outermost error to the one that it all began with."""
    seen: set[int] = set()
    layer: BaseException | None = error
    while layer is not None and id(layer) not in seen:
        seen.add(id(layer))
        yield layer
        layer = layer.__cause__ or layer.__context__
