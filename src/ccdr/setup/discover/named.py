"""What `ccdr init` is given: servers' URLs, or paths of this host. Each engine tells what is its own."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from ccdr.engines.discoveries import DISCOVERIES
from ccdr.engines.discovery.contract import Named, SourceKind
from ccdr.engines.discovery.paths import path_of
from ccdr.model.errors import UsageProblem

_EXAMPLE = DISCOVERIES[0].example
_TWICE = {SourceKind.SERVER: "a server", SourceKind.FILE: "a database"}


def everything_named(given: tuple[str, ...]) -> list[Named]:
    """Servers, then files, then trees. UsageProblem for what is none of these, is empty, or is named twice.

    No text of an argument that may hold a password is repeated.
    """
    named = sorted(map(_named, given), key=lambda one: one.kind)
    for kind, what in _TWICE.items():
        wheres = [one.where for one in named if one.kind is kind]
        if len(set(wheres)) < len(wheres):
            raise UsageProblem(f"{what} is named twice", hint="name it once")
    trees = [Path(str(one.where)) for one in named if one.kind is SourceKind.TREE]
    for n, path in enumerate(trees):
        for other in trees[:n] + trees[n + 1 :]:
            if path == other or other in path.parents:
                raise UsageProblem(
                    f"{path} is named twice, by itself or with {other}", hint="name only the upper directory"
                )
    return named


def _named(text: str) -> Named:
    scheme = text.partition(":")[0].lower()
    for discovery in DISCOVERIES:
        if ":" in text and scheme in discovery.schemes:
            return discovery.parse(text)
    if "://" in text:
        raise _unknown(text)
    path = path_of(text)
    for discovery in DISCOVERIES:
        if one := discovery.at(path):
            return one
    raise UsageProblem(f"ccdr cannot back up {path}", hint=_EXAMPLE)


def _unknown(text: str) -> UsageProblem:
    try:
        scheme = urlsplit(text).scheme
    except ValueError:
        return UsageProblem("the URL cannot be read", hint=_EXAMPLE)
    return UsageProblem(f"{scheme or 'this'}: is no address that ccdr knows yet", hint=_EXAMPLE)
