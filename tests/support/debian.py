"""Debian's own way to start a new server, in a container that has Debian's package: systemd itself needs a machine."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

# What systemd makes of the package's template and of what stands beside it, as far as these units go.
SYSTEMCTL = r"""#!/bin/bash
set -e
[ "$1" = enable ] || exit 0
unit=${!#}; instance=${unit#*@}
while IFS= read -r line; do
  case $line in
  ExecStart=) start= ;;
  ExecStart=*) start=${line#ExecStart=} ;;
  Environment=*) set=${line#Environment=}; set=${set#[\"\']}; export "${set%[\"\']}" ;;
  User=*) user=${line#User=} ;;
  esac
done < <(sed "s/%[iI]/$instance/g" "/usr/lib/systemd/system/${unit%%@*}@.service" /etc/systemd/system/"$unit".service.d/*.conf)
setsid setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups sh -c "exec $start" < /dev/null > /tmp/said 2>&1 &
"""


@contextlib.contextmanager
def started_by_debian(image: str, home: Path, lines: Sequence[str]) -> Iterator[str]:
    """The literal lines, carried out as root where the package is there already; the container."""
    argv = ["docker", "run", "-d", "--rm", "--network", "none", "--user", "root", "-v", f"{home}:{home}"]
    argv += ["--entrypoint", "sleep", image, "infinity"]
    container = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    here = "cat > /usr/local/bin/systemctl; printf '#!/bin/sh\\n' > /usr/local/bin/apt-get; chmod +x /usr/local/bin/*"
    try:
        for line, text in ((here, SYSTEMCTL), *((line, "") for line in lines)):
            argv = ["docker", "exec", "-i", container, "sh", "-ec", line]
            done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
            assert done.returncode == 0, (line, done.stdout, done.stderr)
        yield container
    finally:
        subprocess.run(["docker", "rm", "-f", container], check=False, capture_output=True)
