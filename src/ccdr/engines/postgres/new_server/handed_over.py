"""A base backup that is handed over as files: a server that somebody starts on them reads nothing of another place, and
does nothing to others by itself."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from ccdr.engines.postgres import silenced
from ccdr.engines.postgres.inventory import conf_line
from ccdr.engines.postgres.new_server import configuration as conf
from ccdr.engines.postgres.physical.capture import CLUSTER
from ccdr.engines.servers.silenced import told
from ccdr.model.values import Manifest

# Settings, and what makes a server follow another one, or recover by the source's own commands.
_DECIDING = (conf.CONF, conf.AUTO, "standby.signal", "recovery.signal")
# Who may come in: kept, but where it is read from elsewhere.
_LETTING_IN = {conf.HBA: "local all all peer\n", conf.IDENT: ""}
_READS_OTHERS = re.compile(r"^[^#\n]*(?:\binclude|@)", re.MULTILINE)


def hand_over(restored: Path, final: Path, manifest: Manifest) -> list[str]:
    """Its configuration is put aside: it names the places that the source had, and what that did to others. In its
    place are the settings without which no server runs on these files, or applies their log."""
    data, aside = restored / CLUSTER, restored / conf.CAPTURED
    aside.mkdir(mode=0o700, exist_ok=True)
    other = [name for name in _LETTING_IN if (data / name).exists() and _reads_others(data / name)]
    for name in (*_DECIDING, *other):
        if (data / name).exists():
            (data / name).rename(aside / name)
    captured = conf.captured_settings(manifest.contents)
    settings = {**conf.taken(captured, {}), silenced.SUBSCRIBERS: "0"}
    lines = "".join(conf_line(name, value) for name, value in settings.items())
    head = f"# Written by ccdr. What the captured server had is in {final / conf.CAPTURED}.\n"
    for name, text in {conf.CONF: head + lines, conf.AUTO: "", **_LETTING_IN}.items():
        if not (data / name).exists():
            (data / name).write_text(text, "utf-8")
            (data / name).chmod(0o600)
    where = shlex.quote(str(final / CLUSTER / conf.CONF))
    still = [*silenced.of_settings(captured, {}, where), silenced.of_subscriptions("any subscription of it", where)]
    return [
        f"its own configuration is in {conf.CAPTURED}/, and nothing reads it: {CLUSTER}/{conf.CONF} is a new one",
        *told(still),
        "DROP SUBSCRIPTION there drops the slot that the source uses, unless ALTER SUBSCRIPTION … DISABLE and ALTER "
        "SUBSCRIPTION … SET (slot_name = NONE) go before it",
    ]


def _reads_others(path: Path) -> bool:
    return _READS_OTHERS.search(path.read_text("utf-8", "replace")) is not None
