"""One kind of check, one file. To add one: write its class, add it to the union, give it damaged twins."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ccdr.checks.command import Command
from ccdr.checks.decodable import Decodable
from ccdr.checks.freshness import Freshness
from ccdr.checks.identical import Identical
from ccdr.checks.integrity import Integrity
from ccdr.checks.keys import Keys
from ccdr.checks.reconcile import Reconcile
from ccdr.checks.rows import Rows
from ccdr.checks.sql import Sql

AnyCheck = Annotated[
    Identical | Integrity | Rows | Keys | Freshness | Sql | Decodable | Command | Reconcile, Field(discriminator="kind")
]

__all__ = ["AnyCheck"]
