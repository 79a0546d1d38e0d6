"""Who keeps checkpoints of the ledger elsewhere: `anchors.yaml` beside the directory of plans. Without it nobody does.

Off loopback what may be changed on its way goes by TLS. A time-stamping authority may be asked by plain http: it is
sent a digest and a random number, and its answer, which holds both, is signed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo

from ccdr.model.schema import Duration, Name, PlanPath, Strict, Text
from ccdr.plans.own_file import OwnFile, packaged
from ccdr.plans.repository_url import place_in_bucket, repository_url
from ccdr.plans.shape import editor_schema
from ccdr.plans.yamlfile import Document, YamlProblem

BESIDE = "anchors.yaml"  # beside the directory of plans
SLACK = timedelta(hours=1)  # a run may come late
_EVERY = "how often, at most, a checkpoint is anchored there"


def _http_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("is no address, expected one like https://host/path") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        raise ValueError("is no address, expected one like https://host/path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user or a password, and a secret is never a value in a file of settings")
    return url


def _bucket(url: str, info: ValidationInfo) -> str:
    url = repository_url(url, info)
    if place_in_bucket(url) is None:
        raise ValueError("is no bucket, expected one like s3:https://host/bucket")
    return url


class _Anchor(Strict):
    """What every anchor has."""

    suffix: ClassVar[str] = "json"  # of the file of a receipt

    name: Name = Field(description="what it is called in records and messages")

    @property
    def interval(self) -> timedelta:
        return timedelta(seconds=getattr(self, "every"))  # noqa: B009 - each kind has its own default

    @property
    def overdue_after(self) -> timedelta:
        """From when on it is overdue: one whole turn of it may fail."""
        return 2 * self.interval + SLACK

    @property
    def where(self) -> dict[str, str]:
        """What it leads to: when that changes it is another anchor. No secret is in it."""
        return {}

    @property
    def where_sha256(self) -> str:
        return sha256(json.dumps(self.where, sort_keys=True).encode()).hexdigest()


class Rfc3161(_Anchor):
    """A time-stamping authority (RFC 3161): its token over a checkpoint is stored beside that."""

    suffix: ClassVar[str] = "tsr"

    kind: Literal["rfc3161"]
    url: Annotated[Text, AfterValidator(_http_address)] = Field(description="where it answers; http or https")
    ca_file: PlanPath = Field(description="PEM: the certificates that its tokens are verified by")
    every: Duration = Field(86400.0, description=_EVERY)

    @property
    def where(self) -> dict[str, str]:
        return {"url": self.url}


class Told(_Anchor):
    """The signed checkpoint, sent by mail or chat to somebody who keeps it."""

    kind: Literal["told"]
    urls_file: PlanPath = Field(description="file of Apprise URLs, one a line: who gets each checkpoint")
    every: Duration = Field(86400.0, description=_EVERY)

    @property
    def where(self) -> dict[str, str]:
        return {"urls_file": str(self.urls_file)}


class ObjectLock(_Anchor):
    """A bucket with Object Lock: a checkpoint is an object there that nobody can change or remove."""

    kind: Literal["object_lock"]
    url: Annotated[Text, AfterValidator(_bucket)] = Field(description="the bucket, as s3:https://host/bucket")
    env_file: PlanPath = Field(description="file of NAME=value lines: a credential that can put, and nothing else")
    auditor_env_file: PlanPath | None = Field(
        None, description="the auditor's credential, which may only read there: on a host that has it, doctor tries it"
    )
    lock_days: int | None = Field(
        None,
        ge=1,
        le=36500,
        description="ask for a lock of so many days with each put, where the bucket's own default retention is not to "
        "count; wants s3:PutObjectRetention",
    )
    plans: bool = Field(
        False,
        description="put each plan's files there, too, so that an auditor's report judges by them: whatever they quote "
        "stays there as long as the lock",
    )
    every: Duration = Field(3600.0, description=_EVERY)

    @property
    def where(self) -> dict[str, str]:
        return {"url": self.url}


AnyAnchor = Annotated[Rfc3161 | Told | ObjectLock, Field(discriminator="kind")]


class Anchors(Strict):
    """Who keeps checkpoints of the ledger elsewhere."""

    anchors: tuple[AnyAnchor, ...] = Field((), description="each with a name of its own")


@dataclass(frozen=True)
class LoadedAnchors(OwnFile[Anchors]):
    """A file of anchors that is right; `path` None: there is none, and nobody keeps anything."""

    @classmethod
    def none(cls) -> LoadedAnchors:
        return cls(Anchors(), None, b"")

    def __iter__(self) -> Iterator[Rfc3161 | Told | ObjectLock]:
        return iter(self.value.anchors)

    def __bool__(self) -> bool:
        return bool(self.value.anchors)


def load_anchors(path: Path) -> LoadedAnchors:
    """PlanInvalid with every mistake; UsageProblem where it cannot be read."""
    hint = "`ccdr ledger checkpoint --print-anchors` prints one to be copied and edited"
    return LoadedAnchors.load(Anchors, BESIDE, path, hint, _twice, AnyAnchor)


def anchors_beside(plans: Path) -> LoadedAnchors:
    """Those of the file beside the directory of plans; none where there is no file. Raises as `load_anchors`."""
    path = plans.absolute().parent / BESIDE
    return load_anchors(path) if path.exists() else LoadedAnchors.none()


def example() -> bytes:
    """A file to be copied and edited."""
    return packaged(BESIDE)


def anchors_schema() -> dict[str, Any]:
    """JSON Schema of such a file, for editors."""
    return editor_schema(Anchors)


def _twice(document: Document) -> Iterator[YamlProblem]:
    data = document.data
    listed = data.get("anchors") if isinstance(data, dict) else None
    seen = set[str]()
    for number, one in enumerate(listed if isinstance(listed, list) else ()):
        name = one.get("name") if isinstance(one, dict) else None
        if isinstance(name, str):
            if name in seen:
                where = ("anchors", number, "name")
                yield YamlProblem(document.line(where), where, "is the name of another anchor, too")
            seen.add(name)
