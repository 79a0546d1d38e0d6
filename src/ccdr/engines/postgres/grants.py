"""What a superuser says so that a role may read all that is backed up. `role` is an identifier, quoted as need be."""

from __future__ import annotations

from ccdr.engines.postgres.inventory import quote_ident

MEMBERSHIPS = 16  # since this major version each membership says for itself whether it is inherited


def connect(database: str, user: str) -> str:
    """Both are names as they are."""
    return f"GRANT CONNECT ON DATABASE {quote_ident(database)} TO {quote_ident(user)};"


def member(groups: str, role: str, *, inherits: bool, major: int) -> str:
    """Membership in these groups that works at once, also for a role that was made NOINHERIT."""
    if inherits:
        return f"GRANT {groups} TO {role};"
    if major >= MEMBERSHIPS:
        return f"GRANT {groups} TO {role} WITH INHERIT TRUE;"
    return f"ALTER ROLE {role} INHERIT; GRANT {groups} TO {role};"


def past_policies(role: str) -> str:
    return f"ALTER ROLE {role} BYPASSRLS;"


def large_objects(role: str) -> str:
    """For psql: one statement for each that is there."""
    quoted = role.replace("%", "%%").replace("'", "''")
    return f"SELECT format('GRANT SELECT ON LARGE OBJECT %s TO {quoted}', oid) FROM pg_largeobject_metadata \\gexec"
