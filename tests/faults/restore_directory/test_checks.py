"""Restoring files for real: its checks, in a sandbox."""

from __future__ import annotations

from tests.support.harness import Site
from tests.support.restored_files import go, listing
from tests.support.stored import LIMITS, assert_clean, settled_file

COMMAND = (
    'restore_test: recordings\nchecks:\n  - {kind: command, argv: [sh, -c, "cat .%s/tree/secret > /dev/null%s"]}\n'
)


def with_command(site: Site, then: str = "") -> None:
    secret = settled_file(site.root / "tree" / "secret", b"x")
    secret.chmod(0o600)
    site.recordings(site.root / "tree", LIMITS, checks=COMMAND % (site.root, then))
    site.backed_up()


def test_programs_look_at_it_in_a_sandbox_and_no_mode_changes(twin: Site) -> None:
    with_command(twin)
    done = go(twin, twin.root / "back")
    assert done.code == 0, done
    assert [(c["kind"], c["status"]) for c in done.json["checks"]] == [("identical", "PASS"), ("command", "PASS")]
    assert listing(twin.root / "back" / str(twin.root / "tree").lstrip("/")) == listing(twin.root / "tree")
    assert_clean(twin)


def test_a_failing_check_keeps_the_final_name_from_it(twin: Site) -> None:
    with_command(twin, "; false")
    done = go(twin, twin.root / "back")
    assert done.code == 1 and done.json["result"] == "FAILED" and not (twin.root / "back").exists(), done
    (kept,) = twin.root.glob(".back.ccdr-restore-*")
    assert (kept / "tree" / str(twin.root / "tree" / "secret").lstrip("/")).stat().st_mode & 0o777 == 0o600


def test_no_docker_is_no_reason_to_have_no_data(twin: Site) -> None:
    with_command(twin)
    twin.env["DOCKER_HOST"] = "unix:///nowhere.sock"
    done = go(twin, twin.root / "back")
    assert done.code == 3 and done.json["result"] == "RESTORED", done  # it is there; not all of it was looked at
    assert [(c["kind"], c["status"]) for c in done.json["checks"]] == [
        ("identical", "PASS"),
        ("command", "INCONCLUSIVE"),
    ]
