"""That somebody accepts the risk of a deviation until a day: the text that they sign. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ccdr.evidence.approvals import NONCE, SHA256, WORD, misfit, read, written
from ccdr.model.values import rfc3339, utc

NAMESPACE = "ccdr-deviation"  # what is signed for: a key may be restricted to it in allowed_signers
ID = re.compile(r"[0-9a-f]{8}")
_NONE = "-"


@dataclass(frozen=True)
class ToAccept:
    """`reason` is the salted digest of the words; `plan` and `asset` are None where it is of none."""

    deviation: str
    plan: str | None
    asset: str | None
    code: str
    until: datetime
    reason: str
    made: datetime
    nonce: str

    TO = "accept the risk of a deviation"

    def text(self) -> str:
        return written(
            (
                ("to", self.TO),
                ("deviation", self.deviation),
                ("plan", self.plan or _NONE),
                ("asset", self.asset or _NONE),
                ("code", self.code),
                ("until", rfc3339(self.until)),
                ("reason", self.reason),
                ("made", rfc3339(self.made)),
                ("nonce", self.nonce),
            )
        )

    @classmethod
    def read(cls, text: str) -> ToAccept:
        """UsageProblem where it is none."""
        of = dict(read(text, cls.TO))
        try:
            plan, asset = (None if of[key] == _NONE else of[key] for key in ("plan", "asset"))
            times = utc(of["until"]), utc(of["made"])
            one = cls(of["deviation"], plan, asset, of["code"], times[0], of["reason"], times[1], of["nonce"])
        except (KeyError, ValueError, OverflowError):
            raise misfit() from None
        fits = ID.fullmatch(one.deviation) and WORD.fullmatch(one.code) and SHA256.fullmatch(one.reason)
        if one.text() != text or not fits or not NONCE.fullmatch(one.nonce):
            raise misfit()
        return one

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> ToAccept:
        """What the signature of a record is of."""
        return cls(
            str(record["deviation"]),
            record["plan"],
            record.get("about_asset"),
            str(record["code"]),
            utc(record["until"]),
            str(record["reason_sha256"]),
            utc(record["made"]),
            str(record["nonce"]),
        )
