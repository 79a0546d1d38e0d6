"""Which file has whose password."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ccdr.engines.discovery.contract import Named, SourceKind
from ccdr.model.errors import UsageProblem
from ccdr.setup.discover.named import everything_named


@dataclass(frozen=True)
class Passwords:
    """`own` by where a server is, `shared` for those that have none of their own."""

    shared: Path | None = None
    own: Mapping[object, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Sequence[str], named: Sequence[Named]) -> Passwords:
        """From `FILE` or `URL=FILE`; UsageProblem for a URL that is none of the servers, and for two of the same."""
        servers = {one.where for one in named if one.kind is SourceKind.SERVER}
        shared: list[Path] = []
        own: dict[object, Path] = {}
        for text in given:
            url, equals, file = text.rpartition("=")
            if not equals or "://" not in url:
                shared.append(Path(text))
                continue
            (server,) = everything_named((url,))
            if server.where not in servers:
                raise UsageProblem(
                    "--password-file names a URL that is not one of the servers",
                    hint="write it exactly as you wrote the server",
                )
            if server.where in own:
                raise UsageProblem("--password-file names two files for one server", hint="name one")
            own[server.where] = Path(file)
        if len(shared) > 1:
            raise UsageProblem(
                "--password-file is given more than once, without a URL",
                hint="name the server of each: --password-file URL=FILE",
            )
        return cls(shared[0] if shared else None, own)

    @property
    def files(self) -> list[Path]:
        return [*([self.shared] if self.shared else []), *self.own.values()]

    def file_of(self, one: Named) -> Path | None:
        return self.own.get(one.where, self.shared) if one.kind is SourceKind.SERVER else None
