"""Which file a row means. By the snapshot's own listing alone: nothing that a row says is ever opened. Pure."""

from __future__ import annotations

from collections.abc import Callable

LINKS = 40  # followed for one path, as Linux does


def resolve(reference: bytes | None, root: bytes | None) -> bytes | None:
    """The absolute path that a row's text stands for; a relative one lies below `root`. None where it cannot be a
    file's: nothing, no root, a way back up (`..`), a directory's closing slash."""
    if not reference or b"\0" in reference or reference.endswith(b"/"):
        return None
    if not reference.startswith(b"/"):
        if root is None:
            return None
        reference = root + b"/" + reference
    parts = [part for part in reference.split(b"/") if part not in (b"", b".")]
    return b"/" + b"/".join(parts) if parts and b".." not in parts else None


def follow(path: bytes, target_of: Callable[[bytes], bytes | None]) -> bytes | None:
    """Where a path leads if the links on its way are followed. `target_of` gives what a link points to, None for all
    that is no link. None where links lead in a circle."""
    real: list[bytes] = []
    ahead = path.split(b"/")[::-1]
    left = LINKS
    while ahead:
        part = ahead.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            del real[-1:]
            continue
        target = target_of(b"/" + b"/".join([*real, part]))
        if target is None:
            real.append(part)
            continue
        left -= 1
        if left < 0:
            return None
        if target.startswith(b"/"):
            real = []
        ahead += target.split(b"/")[::-1]
    return b"/" + b"/".join(real)
