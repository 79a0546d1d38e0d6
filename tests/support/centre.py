"""The sample contact centre on a test's own server, small."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ccdr import demo
from tests.support.harness import Source


@contextmanager
def sample_centre(source: Source, more: str = "") -> Iterator[str]:
    """The database `crm`, with its roles; `more` is SQL run in it. All of it is removed at the end."""
    scripts = Path(str(demo.__file__)).parent
    before = set(source.psql("select rolname from pg_roles").split("\n"))
    given = "\\set now '2026-11-24 14:00:00+00'\n\\set seed 1\n\\set calls 300\n"
    source.psql((scripts / "database.sql").read_text("utf-8"))
    for name in ("schema.sql", "data.sql"):
        source.psql(given + (scripts / name).read_text("utf-8"), "crm")
    source.psql(more, "crm")
    source.psql("alter role crm_app password 'a real one'")
    yield "crm"
    source.psql("drop database crm with (force)")
    made = set(source.psql("select rolname from pg_roles").split("\n")) - before
    for role in made:
        source.psql(f'drop owned by "{role}" cascade')
    source.psql("".join(f'drop role "{role}";\n' for role in made))
