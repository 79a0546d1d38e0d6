"""A file that comes with ccdr, and in whose place users may put their own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from ccdr.model.errors import PlanInvalid
from ccdr.model.schema import Strict
from ccdr.plans.problems import as_problems, checked
from ccdr.plans.yamlfile import Document, YamlProblem, parse, read_bytes

M = TypeVar("M", bound=Strict)


@dataclass(frozen=True)
class OwnFile(Generic[M]):
    """One that is right, as `value`; `path` None: the one that comes with ccdr. `raw` are its bytes."""

    value: M
    path: Path | None
    raw: bytes

    @classmethod
    def load(
        cls,
        model: type[M],
        name: str,
        path: Path | None,
        hint: str | None,
        across: Callable[[Document], Iterable[YamlProblem]] = lambda _: (),
        kinds: Any = Any,
    ) -> Self:
        """`name` is ccdr's own, read where no `path` is given; `across` finds what no single field shows, `kinds` is
        the union that the model holds. PlanInvalid with every mistake; UsageProblem where it cannot be read."""
        raw = packaged(name) if path is None else read_bytes(path)
        shown = path or Path(name)
        document, findings = parse(raw)
        value = None
        if document is not None:
            value, more = checked(model, document, shown.parent.absolute(), kinds)
            findings += [*more, *across(document)]
        if findings or value is None:
            raise PlanInvalid(as_problems(shown, findings), hint=hint)
        return cls(value, path, raw)

    @property
    def sha256(self) -> str:
        return sha256(self.raw).hexdigest()

    def as_json(self) -> dict[str, object]:
        return {"file": self.path and str(self.path), "sha256": self.sha256}


def packaged(name: str) -> bytes:
    """What comes with ccdr, to be copied and edited."""
    return files("ccdr.plans").joinpath(name).read_bytes()


def digest_beside(plans: Path, name: str) -> str | None:
    """SHA-256 of the file of this name beside the directory of plans, or of ccdr's own; None where it cannot be
    read."""
    path = plans.absolute().parent / name
    with contextlib.suppress(OSError):
        return sha256(path.read_bytes() if path.exists() else packaged(name)).hexdigest()
    return None
