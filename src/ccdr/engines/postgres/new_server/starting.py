"""How a person starts the new server, word for word, and looks at what is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from ccdr.engines.postgres.connection import major_of
from ccdr.engines.postgres.inventory import Inventory
from ccdr.engines.postgres.new_server import configuration as conf
from ccdr.engines.postgres.physical.capture import CLUSTER
from ccdr.engines.servers.start_lines import inside
from ccdr.model.values import Manifest
from ccdr.ports.new_server import Owner, Site, StartLines

# For a person's first look: the largest tables.
_SIZES = (
    "select schemaname, relname, pg_size_pretty(pg_relation_size(relid)) from pg_stat_user_tables "
    "order by pg_relation_size(relid) desc limit 20"
)


def start_lines(site: Site, manifest: Manifest, image: str, owner: Owner, user: str, look: str) -> StartLines:
    """`user` is Debian's own, `look` the client of `look_at`."""
    major = major_of(Inventory(manifest.contents).version)
    home, sockets = site.home, site.socket_directory
    name = re.sub(r"[^A-Za-z0-9_]", "_", home.name)  # as pg_ctlcluster and systemd take it
    data, there = shlex.quote(str(home / CLUSTER)), f"/etc/postgresql/{major}/{name}"
    # A number of the image's is somebody else's here, or nobody's: Debian's own user gets the files then.
    runs = owner.name or user
    given = () if owner.name else (f"chown -R {runs}:{runs} {shlex.quote(str(home))}",)
    mounts = dict.fromkeys([home, sockets] if home not in sockets.parents else [home])
    volumes = " ".join(f"-v {shlex.quote(f'{path}:{path}')}" for path in mounts)
    docker = (
        f"docker run -d --name postgres-{name} --restart unless-stopped --network host "
        f"--user {owner.uid}:{owner.gid} --shm-size 256m --stop-signal SIGINT --stop-timeout 120 {volumes} "
        f"--entrypoint postgres {shlex.quote(image)} -D {data}"
    )
    return StartLines(
        debian=(
            *given,
            f"install -d -o {runs} /etc/postgresql/{major} {there}",
            f"ln -s {data}/{conf.CONF} {data}/{conf.HBA} {data}/{conf.IDENT} {there}/",
            f"pg_ctlcluster {major} {name} start",
        ),
        docker=(docker,),
        look=(look,),
        inside=inside(f"postgres-{name}"),
    )


def look_at(socket_directory: Path, port: int, superuser: str, database: str) -> str:
    """As root: the server lets it in as its superuser, without a password (pg_ident.conf)."""
    argv = ["psql", "-U", superuser, "-h", str(socket_directory), "-p", str(port)]
    return shlex.join([*argv, "-d", database, "-c", _SIZES])
