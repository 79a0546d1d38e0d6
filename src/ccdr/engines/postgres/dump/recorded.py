"""What a manifest holds of an inventory: a setting's value may be a secret (`ALTER DATABASE … SET app.key`), so that a
digest stands for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from ccdr.engines.postgres.dump import roles

DIGESTED = "settings_digested"
_CONFIG = -1  # where a role's settings stand among its attributes


def as_recorded(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts, with no setting's value in them; those of a manifest that holds none already, as they are."""
    if facts.get(DIGESTED):
        return dict(facts)
    digested: dict[str, Callable[[Any], Any]] = {
        "database_settings": lambda of_roles: {role: _settings(of_role) for role, of_role in of_roles.items()},
        "role_all_settings": lambda statements: [_of_all(statement) for statement in statements],
        "roles": lambda attributes_of: {name: _role(attributes) for name, attributes in attributes_of.items()},
    }
    # An older manifest may not tell of all of them.
    digests = {key: digest(facts[key]) for key, digest in digested.items() if facts.get(key) is not None}
    return {**facts, **digests, DIGESTED: True}


def _role(attributes: list[Any]) -> list[Any]:
    return [*attributes[:_CONFIG], attributes[_CONFIG] and _settings(attributes[_CONFIG])]


def _settings(settings: list[str]) -> list[str]:
    """Of `name=value`, each."""
    parted = (setting.partition("=") for setting in settings)
    return [f"{name}={_digest(value)}" for name, _, value in parted]


def _of_all(statement: str) -> str:
    name, value = roles.setting_of_all(statement)
    return f"ALTER ROLE ALL SET {name} TO {_digest(value)};" if value else _digest(statement)


def _digest(value: str) -> str:
    return sha256(value.encode("utf-8", "surrogateescape")).hexdigest()
