"""What had its final name before this process went on: has anybody written to it since? By the times of its files, as
the journal has them; contents are read again only where these have changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ccdr.engines.files.listing import LISTING, entries
from ccdr.host.file_times import Times, regular_files
from ccdr.jobs.restore.ways import Order
from ccdr.model.values import so_many
from ccdr.ports.place import Progress


@dataclass(frozen=True)
class Since:
    """`changed` of `files` bear other times; what they hold is not what was captured in `unlike` of them."""

    files: int
    changed: int
    unlike: int

    def finding(self, asset: str, place: Path, plan: str) -> str | None:
        if not self.unlike:
            return None
        what = so_many(self.unlike, "file is", "files are")
        return (
            f"{asset}: {what} not as brought to {place}: damaged, or in use since; `ccdr recover check {plan}` looks "
            "at all of it"
        )

    def note(self, asset: str, plan: str) -> str:
        left = self.files - self.changed
        return (
            f"{asset}: it had its name before. {so_many(left, 'file')} of {self.files} bear the times that they had "
            f"then and were not read again (`ccdr recover check {plan}` reads them)"
        )


def since_named(order: Order, before: Times, place: Path, scratch: Path, progress: Progress) -> Since:
    """CcdrError where it cannot be told. `scratch` is not there yet, and is the caller's to remove."""
    moved, files = place.is_mount(), sum(1 for _ in regular_files(place))
    changed = before.changed(place, moved=moved)
    if not changed:
        return Since(files, 0, 0)
    progress.step(f"reading {so_many(len(changed), 'file')} whose times have changed")
    wanted = set(changed)
    expected = {name: sha for name, sha in _captured(order, place, scratch) if name in wanted}
    digests = order.services.digest(place, list(expected), vanishing=True)
    unlike = sum(1 for name, known in expected.items() if name not in digests or digests[name].sha256 != known)
    return Since(files, len(changed), unlike)


def _captured(order: Order, place: Path, scratch: Path) -> Iterator[tuple[str, str]]:
    """Each file by its name below the place, with its SHA-256."""
    if "roots" not in order.manifest.contents:
        for name, digest in order.engine.listed(place, order.manifest).items():
            yield name, digest.sha256
        return
    order.repo.restore(order.snapshot.id, order.snapshot.root, scratch)  # ccdr's listing, and none of the data
    for entry in entries(scratch / LISTING):
        if entry.sha256 is not None:
            yield entry.path.lstrip("/"), entry.sha256
