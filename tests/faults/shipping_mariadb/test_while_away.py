"""A MariaDB server's binary log, shipped for real: the repository may be away and a receiver killed, and the log goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest
from tests.support.harness import Site, eventually
from tests.support.mariadb_source import MariaSource
from tests.support.shipping import recovered, shipping, standing, started, trouble, without_repository
from tests.support.shipping_mariadb import back

pytestmark = pytest.mark.long


def test_log_is_received_while_the_repository_is_away(shipped: Site, source: MariaSource) -> None:
    """And nothing of it is lost, though what ships is killed meanwhile."""

    def spooled(text: str) -> bool:
        spool = shipped.state / "shipping/p/crm/spool"
        return any(text.encode() in path.read_bytes() for path in spool.iterdir())

    with shipping(shipped) as process, without_repository(shipped):
        assert eventually(lambda: "no repository" in trouble(shipped), 60), standing(shipped)
        usable = standing(shipped)["usable"]
        source.sql("insert into crm.calls (note) values ('first'); flush binary logs")
        assert eventually(lambda: spooled("first"), 30), standing(shipped)
        found = shipped.run("status")
        assert found.code == 1 and "log is not shipped" in found.stdout, found
        process.kill()
        process.wait()
        source.sql("insert into crm.calls (note) values ('second')")
        with started(shipped):
            assert eventually(lambda: spooled("second"), 60), standing(shipped)
            assert spooled("first") and standing(shipped)["usable"] == usable
            (shipped.root / "hidden").rename(shipped.repo)
            assert eventually(lambda: standing(shipped)["trouble"] is None, 120), standing(shipped)
    assert not standing(shipped)["gap"]
    done = recovered(shipped, "latest", "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    sql = "select group_concat(note order by id separator ' ') from crm.calls where id > 100"
    assert back(done, sql) == "first second"


def process_of(program: str, word: str) -> int | None:
    """Wherever it runs."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            argv = path.read_text(errors="replace").split("\0")
            if Path(argv[0]).name == program and any(word in each for each in argv):
                return int(path.parent.name)
    return None


@pytest.mark.parametrize("caught_up", [True, False])
def test_what_was_received_is_not_lost_while_it_is_received_anew(
    shipped: Site, source: MariaSource, data: Path, caught_up: bool
) -> None:
    """A receiver that is started again empties the file that it left off in, and the source dies right then: only the
    spool has what was not stored yet."""
    log = shipped.state / "shipping/p/crm/spool"
    with shipping(shipped), without_repository(shipped):
        assert eventually(lambda: "no repository" in trouble(shipped), 60), standing(shipped)
        source.sql(
            "use crm; create table crm.voice (id int auto_increment primary key, sound longblob);"
            "insert into crm.voice (sound) select repeat(char(65 + seq % 26), 1 << 20) from seq_1_to_100;"
            "insert into crm.calls (note) values ('received')"
        )
        (name, size) = source.sql("show master status").split()[:2]
        open_ = log / name
        assert eventually(lambda: open_.stat().st_size >= int(size), 60), list(log.iterdir())
        server, receiver = process_of("mariadbd", str(data)), process_of("mariadb-binlog", str(shipped.state))
        assert server and receiver
        before = (open_.stat().st_ino, int(size))

        def begun_anew() -> bool:
            with contextlib.suppress(FileNotFoundError):
                return (open_.stat().st_ino, open_.stat().st_size) != before
            return False

        def interrupted() -> bool:
            """Is the server held up in the middle of sending it?"""
            receiver = process_of("mariadb-binlog", str(shipped.state))
            assert receiver
            os.kill(receiver, signal.SIGKILL)
            deadline = time.monotonic() + 60
            while not begun_anew():
                assert time.monotonic() < deadline
            os.kill(server, signal.SIGSTOP)
            time.sleep(0.5)  # what is on its way arrives
            if open_.stat().st_size < int(size):
                return True
            os.kill(server, signal.SIGCONT)  # a busy machine woke us too late
            assert eventually(lambda: process_of("mariadb-binlog", str(shipped.state)) not in (None, receiver), 60)
            return False

        if caught_up:
            os.kill(receiver, signal.SIGKILL)
            assert eventually(begun_anew, 60) and eventually(lambda: open_.stat().st_size >= int(size), 60)
        else:
            assert eventually(interrupted, 60)
        os.kill(server, signal.SIGKILL)
        (shipped.root / "hidden").rename(shipped.repo)
        usable = standing(shipped)["usable"]
        assert eventually(lambda: standing(shipped)["usable"] != usable, 90), standing(shipped)
    done = recovered(shipped, "latest", "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert back(done, "select note from crm.calls where id > 100; select count(*) from crm.voice") == "received\n100"
