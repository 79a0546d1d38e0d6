"""Seals on journals: by these ccdr knows again what a ccdr has written that has the repository's password, here or on
another host. Whoever may write where a journal lies could else write there what never happened."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import cache
from hashlib import scrypt, sha256

from ccdr.host.processes import Host
from ccdr.host.secrets import password
from ccdr.plans import LoadedPlan

Key = Callable[[], bytes]


def key_of(loaded: LoadedPlan, host: Host, what: str) -> Key:
    """Of the plan's journals of this kind. It is made once it is asked for; UsageProblem then, where the repository's
    password cannot be had."""
    plan = loaded.plan.plan

    @cache
    def key() -> bytes:
        secret = password(loaded.plan.repository, host, what="repository") or ""
        return scrypt(secret.encode(), salt=f"ccdr {what} {plan}".encode(), n=2**14, r=8, p=1, dklen=32)

    return key


def seal(key: Key, *parts: bytes) -> str:
    return hmac.new(key(), b"".join(parts), sha256).hexdigest()


def is_seal(given: str, key: Key, *parts: bytes) -> bool:
    return hmac.compare_digest(given, seal(key, *parts))
