"""Which credential a role has at the store. One that all roles share may do whatever any of them needs."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo

from ccdr.model.schema import PlanPath, Strict, Text
from ccdr.plans.repository_url import repository_url


class Role(StrEnum):
    """Who comes to the store, and for what."""

    BACKUP = "backup"
    VERIFY = "verify"
    PRUNE = "prune"
    RESTORE = "restore"
    AUDITOR = "auditor"


def here(path: Path) -> bool:
    """Does it lie on this host, as far as who runs this may look?"""
    try:
        path.stat()
    except OSError:
        return False
    return True


class RoleCredential(Strict):
    """A role's own credential at the store of the plan's repository."""

    env_file: PlanPath = Field(
        description="file of NAME=value lines, as a repository's; on the hosts of this role, and on no other"
    )

    @property
    def here(self) -> bool:
        """Does it lie on this host?"""
        return here(self.env_file)


def _bucket(url: str, info: ValidationInfo) -> str:
    if not url.startswith("s3:"):
        raise ValueError("is no bucket, expected one like s3:https://s3.example/ccdr-evidence")
    return repository_url(url, info)


class AuditorCredential(RoleCredential):
    """The auditor's, who reads evidence and no customer's data."""

    url: Annotated[Text, AfterValidator(_bucket)] | None = Field(
        None, description="s3: the bucket, or the folder in one, where evidence is put for the auditor"
    )


class Access(Strict):
    """A credential for each role: `ccdr access policies` prints what each may do, `ccdr access test` tries it."""

    backup: RoleCredential | None = Field(None, description="of the hosts that back up: put, and delete locks alone")
    verify: RoleCredential | None = Field(None, description="of the hosts that test and check: read alone")
    prune: RoleCredential | None = Field(None, description="of the host that prunes: it alone removes anything")
    restore: RoleCredential | None = Field(None, description="of whoever restores for real: read alone")
    auditor: AuditorCredential | None = Field(None, description="of whoever audits: read the evidence alone")

    def of(self, role: Role) -> RoleCredential | None:
        one: RoleCredential | None = getattr(self, role.value)
        return one

    @property
    def digest(self) -> str:
        """Of which files and which place of evidence it names, for a record: SHA-256."""
        lines = [f"{role} {one.env_file}\n" for role, one in self.named()]
        evidence = f"{self.auditor.url}\n" if self.auditor is not None and self.auditor.url else ""
        return sha256(f"{''.join(lines)}{evidence}".encode("utf-8", "surrogateescape")).hexdigest()

    def named(self) -> Iterator[tuple[Role, RoleCredential]]:
        """The roles that have a credential of their own."""
        for role in Role:
            if (one := self.of(role)) is not None:
                yield role, one
