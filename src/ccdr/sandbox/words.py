"""What the Docker daemon, or the way to it, has answered."""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.model.answers import FreeText

UNKNOWN = "it gave an error of its own"
UNANSWERED = "it took the question, and did not answer in time"


def words(error: BaseException) -> FreeText:
    """The daemon's own explanation where it gave one, else what Python shows."""
    explanation = getattr(error, "explanation", None)
    if explanation:
        return FreeText(explanation.decode("utf-8", "replace") if isinstance(explanation, bytes) else str(explanation))
    return FreeText(str(error))


def reason_of(error: BaseException) -> str:
    """One sentence. The answer in what the daemon explained, else the system's reason beneath all layers."""
    if getattr(error, "explanation", None):
        return words(error).answer or UNKNOWN
    for cause in reversed(list(_layers(error))):
        if isinstance(cause, TimeoutError):
            return UNANSWERED
        if isinstance(cause, OSError) and cause.errno is not None and cause.strerror:
            return str(cause.strerror)
    return words(error).answer or UNKNOWN


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
