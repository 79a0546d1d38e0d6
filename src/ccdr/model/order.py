"""In which order what depends on each other is done. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

NO_LENGTHS: Mapping[str, float] = MappingProxyType({})


def circle_of(needs: Mapping[str, Iterable[str]]) -> list[str] | None:
    """Names that depend on each other in a circle, the first one again at its end; None where there is none. What is
    needed and is no key depends on nothing."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str] | None:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        for other in needs.get(name, ()):
            if found := visit(other, [*path, name]):
                return found
        done.add(name)
        return None

    for name in needs:
        if found := visit(name, []):
            return found
    return None


def in_order(
    needs: Mapping[str, Iterable[str]], priority: Mapping[str, int], lengths: Mapping[str, float] = NO_LENGTHS
) -> list[str]:
    """Every name after all that it depends on; of those that may come next the lowest priority number, then the one
    with which, or with what waits for it, most is to be done (`lengths`: of each alone), then as given. What is needed
    and is no key counts as done. ValueError where they go in a circle."""
    if circle := circle_of(needs):
        raise ValueError(f"a circle: {', '.join(circle)}")
    ordered: list[str] = []
    left, ahead = dict.fromkeys(needs), _ahead(needs, lengths)
    while left:
        free = [name for name in left if not any(other in left for other in needs[name])]
        first = min(free, key=lambda name: (priority.get(name, 100), -ahead[name]))
        ordered.append(first)
        del left[first]
    return ordered


def _ahead(needs: Mapping[str, Iterable[str]], lengths: Mapping[str, float]) -> dict[str, float]:
    """Of each: the longest way from its own beginning to the end of what waits for it."""
    waiting: dict[str, list[str]] = {name: [] for name in needs}
    for name, others in needs.items():
        for other in others:
            waiting.get(other, []).append(name)
    found: dict[str, float] = {}

    def of(name: str) -> float:
        if name not in found:
            found[name] = lengths.get(name, 0.0) + max(map(of, waiting[name]), default=0.0)
        return found[name]

    return {name: of(name) for name in needs}


def ready(
    needs: Mapping[str, Iterable[str]], order: Sequence[str], done: Iterable[str], begun: Iterable[str]
) -> list[str]:
    """Of an order, those that may begin now: not begun, and all that they depend on is done."""
    finished, taken = set(done), set(begun)
    return [
        name
        for name in order
        if name not in taken and all(other in finished or other not in needs for other in needs[name])
    ]
