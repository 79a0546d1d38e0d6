"""A new PostgreSQL server, made ready of what was captured: of a base backup, or of a dump. `maker.py` makes it,
`homes.py` loads either into its home, `statistics.py` gathers what its planner goes by, `set_up.py` writes and tries
its own configuration (`configuration.py` has the texts), `entering.py` and `here.py` tell who cannot come in and what
this host lacks, `starting.py` how a person starts it."""

from ccdr.engines.postgres.new_server.maker import PostgresMaker

__all__ = ["PostgresMaker"]
