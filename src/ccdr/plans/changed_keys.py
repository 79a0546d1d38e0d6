"""Which keys differ between two versions of a plan: their names, never what they hold. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ccdr.plans.yamlfile import Where, dotted, parse

Texts = Mapping[str, bytes]  # a version's files, by the names under which they are kept


def changed_keys(before: Texts, after: Texts) -> tuple[str, ...]:
    """In the files' order; those of restore tests with the file's name before them. None where only comments and
    layout differ."""
    found: list[str] = []
    for name in sorted({*before, *after}):
        own = "" if name.startswith("plans/") else f"{name}: "
        if name not in before or name not in after:
            found.append(f"{name} ({'new' if name in after else 'gone'})")
            continue
        found += [f"{own}{key}" for key in _differing(_data(before[name]), _data(after[name]), ())]
    return tuple(found)


def _data(text: bytes) -> Any:
    document, _ = parse(text)
    return None if document is None else document.data


def _differing(before: Any, after: Any, where: Where) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            at = (*where, str(key))
            if key in before and key in after:
                yield from _differing(before[key], after[key], at)
            else:
                yield f"{dotted(at)} ({'new' if key in after else 'gone'})"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _differing(old, new, (*where, index))
    elif before != after:
        yield dotted(where) or "all of it"
