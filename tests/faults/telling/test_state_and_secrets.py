"""What was told is written down; it may be damaged, and no secret of an address is ever shown."""

from __future__ import annotations

import json

import pytest
from tests.support.listeners import Mailbox, Web, free_port, mail_server, refuse_logins
from tests.support.told import MINUTE, World

from ccdr.model.errors import CcdrError
from ccdr.telling.notify import untold


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format": 2, "plans": {"p": {"entries": 3}}}', b"\x00" * 50])
def test_a_damaged_file_is_told_again_rather_than_never(world: World, mailbox: Mailbox, damage: bytes) -> None:
    world.notify(mailbox.url())
    world.failed()
    world.tell()
    world.told_file.write_bytes(damage)
    told = world.tell()
    assert told.notes and len(mailbox.raw) == 2
    assert world.tell().notes == [] and len(mailbox.raw) == 2


def test_a_file_of_a_newer_version_is_left_alone(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url())
    world.failed()
    world.tell()
    text = json.dumps({"format": 99, "plans": {}})
    world.told_file.write_text(text)
    with pytest.raises(CcdrError, match="newer ccdr"):
        world.tell()
    assert world.told_file.read_text() == text and len(mailbox.raw) == 1
    assert "newer ccdr" in untold(world.services.state, ["p"])["p"][0]
    assert world.site.run("status").code == 1


def test_what_cannot_be_written_down_is_told_all_the_same(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url())
    world.failed()
    world.told_file.mkdir()
    with pytest.raises(CcdrError, match=r"told\.json cannot be written"):
        world.tell()
    assert len(mailbox.raw) == 1


def test_two_runs_at_once_tell_once(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url())
    world.failed()
    with world.services.state.turn("told") as mine:
        assert mine
        told = world.tell()
    assert told.busy and told.wakes == world.clock.at + MINUTE and mailbox.raw == []
    world.tell()
    assert len(mailbox.raw) == 1


SECRET = "hunter2-very-s3cret"


def test_no_secret_of_an_address_is_ever_shown(world: World, web: Web, capfd: pytest.CaptureFixture[str]) -> None:
    """Refused, unreachable, unknown, no URL at all, a login that is not taken: an error tells why, and nothing else."""
    web.answer = 403
    with mail_server(**refuse_logins()) as mail:
        world.notify(
            f"json://me:{SECRET}@127.0.0.1:{web.port}/{SECRET}/hook?token={SECRET}",
            f"json://me:{SECRET}@127.0.0.1:{free_port()}/{SECRET}",
            f"jsons://me:{SECRET}@127.0.0.1:{web.port}/{SECRET}",
            f"mailto://me:{SECRET}@127.0.0.1:{mail.port}/?from=a@b.test&to=c@d.test",
            f"bogus://{SECRET}/x",
            f"slack://{SECRET}",
            f"json://[{SECRET}",
            ping=f"http://127.0.0.1:{free_port()}/{SECRET}",
        )
        assert len(world.tell().failures["p"]) >= 1  # the ping
        world.failed(f"restic said: {'x' * 2000}")
        told = world.tell()
        assert len(told.failures["p"]) >= 7
        told = world.tell()
        shown = [json.dumps(told.as_json()), world.told_file.read_text()]
        for args in (
            ["status"],
            ["notify", "test", "p"],
            ["notify", "test", "p", "-v"],
            ["notify", "test", "p", "--dry-run"],
        ):
            shown.append(str(world.site.run(*args)))
            plain = world.site.plainly(*args)
            shown.append(plain.stdout + plain.stderr)
        shown += [json.dumps(r) for r in world.site.records()]
        out, err = capfd.readouterr()
    for text in (*shown, out, err):
        for piece in (SECRET, "very-s3cret", "/hook"):
            assert piece not in text, text
    assert "403" in shown[0] and "refused" in shown[0]


def test_a_line_that_is_no_url_is_not_quoted(world: World) -> None:
    world.notify(f"{SECRET}")
    assert "urls:3: is no Apprise URL" in world.tell().failures["p"][0]
    assert SECRET not in str(world.site.run("notify", "test", "p")) + world.told_file.read_text()


def test_what_a_program_said_cannot_add_a_header(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url())
    world.failed("no\r\nBcc: everybody@example.test\r\n\r\n\x1b[31m" + "y" * 5000)
    world.tell()
    (message,) = mailbox.messages
    assert message["Bcc"] is None and "\x1b" not in mailbox.text()
    assert max(map(len, mailbox.text().splitlines())) < 600
