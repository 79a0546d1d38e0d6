"""A new PostgreSQL server, made ready of what was captured: of a base backup, or of a dump. `maker.py` makes it, tells
who could not come in, and how a person starts it; `homes.py` loads either into its home, `statistics.py` gathers what
its planner goes by, `configuration.py` writes and tries its own configuration, `here.py` tells what this host lacks.
"""

from ccdr.engines.postgres.new_server.maker import PostgresMaker

__all__ = ["PostgresMaker"]
