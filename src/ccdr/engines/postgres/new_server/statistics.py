"""What the new server's planner goes by: gathered beside the checks, which do not need it. It takes about as long as
the load."""

from __future__ import annotations

from collections.abc import Mapping

from ccdr.engines.postgres.connection import STRICT
from ccdr.ports.place import Place

_BEGIN = """rm -f /tmp/ccdr-analyzed
setsid sh -c '"$@"; echo $? > /tmp/ccdr-analyzed' analyze "$@" > /tmp/ccdr-analyze.log 2>&1 < /dev/null &
"""
_ENDED = """until [ -s /tmp/ccdr-analyzed ]; do sleep 0.05; done
read -r code < /tmp/ccdr-analyzed
[ "$code" = 0 ] || { cat /tmp/ccdr-analyze.log >&2; exit "$code"; }
"""
LACKING = """\
select exists (select from pg_class c where relkind in ('r', 'p', 'm') and oid >= 16384 and reltuples <> 0
  and not exists (select from pg_statistic where starelid = c.oid));
"""
_ANALYZE = (*STRICT, "-c", "analyze")


def begin(box: Place, env: Mapping[str, str]) -> None:
    """Have it gathered, and do not wait."""
    box.run(["sh", "-c", _BEGIN, "begin", *_ANALYZE], env=env, what="analyze")


def wait(box: Place, env: Mapping[str, str]) -> None:
    """For the end of what was begun."""
    box.run(["sh", "-c", _ENDED], env=env, what="analyze")


def gather(box: Place, env: Mapping[str, str]) -> None:
    box.run(_ANALYZE, env=env, what="analyze")
