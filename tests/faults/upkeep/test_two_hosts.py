"""What another host's prune removed, and marks that were planted."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta

from tests.support.harness import ShiftedClock, Site, texts
from tests.support.stored import other_host, restic_of, settled_file
from tests.support.upkeep import asked, known, pruned, retention


def test_another_host_learns_what_retention_removed(site: Site, elsewhere: Site) -> None:
    assert len(pruned(site).removed) == 3
    done = elsewhere.run("test", "p")
    assert (done.code, done.json["verdict"], done.json["findings"]) == (0, "PASS", []), done
    assert known(elsewhere) == known(site)
    settled_file(site.root / "tree" / "new.wav", b"new")
    site.backed_up()
    assert site.run("test", "p").code == 0 and len(pruned(site).removed) == 1
    late = other_host(site, elsewhere.root.parent / "late")
    shutil.copytree(elsewhere.state, late.state)
    shutil.rmtree(late.state / "catalogue")
    shutil.copytree(site.root.with_name(f"{site.root.name}-kept") / "state" / "catalogue", late.state / "catalogue")
    assert len(known(late)) == 4
    done = late.run("test", "p")
    assert (done.code, done.json["findings"]) == (0, []), "a mark tells of earlier prunes, too"


def test_what_another_hosts_prune_removed_is_never_called_vanished_whatever_the_rules_have_become(
    site: Site, elsewhere: Site
) -> None:
    """A host that only backs up learns of it by the daily look; the newest has vanished all the same."""
    asked(elsewhere, "backup")
    assert len(pruned(site).removed) == 3
    retention(elsewhere, "keep_last: 10")
    done = elsewhere.run("ledger", "verify", "--repository")
    assert (done.code, done.json["problems"]) == (0, []), done
    assert known(elsewhere) == known(site), "before the mark forgets"
    restic_of(site.root, "forget", *known(site))
    done = elsewhere.run("ledger", "verify", "--repository")
    assert done.code == 1 and any("it vanished" in said for said in done.json["problems"]), done


def plant(site: Site, ids: list[str]) -> None:
    """What somebody with the repository's password can do: remove snapshots, and leave a mark as if we had."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    mark = site.root / "pruned"
    mark.write_text("".join(f"recordings {i} {now}\n" for i in ids))
    restic_of(site.root, "backup", "--tag", "ccdr-3,kind=pruned,plan=p,run=x", str(mark))
    restic_of(site.root, "forget", *ids)


def test_a_planted_mark_does_not_hide_what_retention_would_have_kept(site: Site, elsewhere: Site) -> None:
    retention(site, "keep_within: 10d")
    retention(elsewhere, "keep_within: 10d")
    plant(site, known(site)[:2])
    for host in (site, elsewhere):
        done = host.run("test", "p")
        assert done.code == 1 and sum("vanished" in f for f in texts(done.json["findings"])) == 2, done


def test_a_planted_mark_does_not_hide_that_the_newest_is_gone(site: Site, elsewhere: Site) -> None:
    plant(site, known(site)[-1:])
    for host in (site, elsewhere):
        done = host.run("test", "p")
        assert (done.code, done.json["verdict"]) == (1, "FAIL") and "vanished" in done.json["reason"], done


def test_a_planted_mark_never_explains_the_last_one_however_old(site: Site) -> None:
    """All of them are past their time, so that retention alone would let every one go: the last one has vanished."""
    retention(site, "keep_within: 10d")
    last = known(site)[-1]
    plant(site, known(site))
    late, loaded = site.services(ShiftedClock(timedelta(days=30))), site.loaded()
    limits = loaded.plan.limits_of("recordings")
    told = late.synchronise(loaded, late.repository(loaded, limits), ["recordings"])
    assert last in [s.id for s in told.vanished]


def test_without_a_mark_what_is_gone_has_vanished(site: Site, elsewhere: Site) -> None:
    restic_of(site.root, "forget", known(site)[0])
    assert "vanished" in texts(elsewhere.run("test", "p").json["findings"])[0]


def test_a_damaged_mark_explains_nothing_and_stops_nothing(site: Site) -> None:
    mark = site.root / "pruned"
    mark.write_bytes(b"\xff\x00 nonsense\nrecordings " + known(site)[0].encode() + b" yesterday\n")
    restic_of(site.root, "backup", "--tag", "ccdr-3,kind=pruned,plan=p,run=x", str(mark))
    restic_of(site.root, "forget", known(site)[0])
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "PASS") and "vanished" in texts(done.json["findings"])[0], done


def test_a_prune_on_another_host_while_a_test_fetches_is_no_bad_backup(site: Site) -> None:
    """restic's restore takes no lock, so a prune elsewhere may take its files away."""
    hang = f'case " $* " in *" restore "*) {shutil.which("restic")} -r {site.repo} --no-cache --password-file {site.root}/plans/key '
    mark = "backup --tag ccdr-3,kind=pruned,plan=p,run=elsewhere /etc/hostname >/dev/null; echo 'Fatal: pack not found' >&2; exit 1;; esac"
    site.write("bin/restic", f'#!/bin/sh\n{hang}{mark}\nexec {shutil.which("restic")} "$@"\n', mode=0o755)
    done = site.run("test", "p", env={"PATH": f"{site.root}/bin:{os.environ['PATH']}"})
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
    assert "elsewhere" in done.json["reason"]
    assert site.run("test", "p").json["verdict"] == "PASS"


def test_a_planted_mark_hides_an_older_one_from_a_host_that_does_not_prune(site: Site, elsewhere: Site) -> None:
    """Which cannot know what another host's prune was to remove. The one that prunes does."""
    retention(site, "keep_within: 10d")
    retention(elsewhere, "keep_within: 10d")
    asked(elsewhere, "backup")
    plant(site, known(site)[:1])
    done = elsewhere.run("ledger", "verify", "--repository")
    assert (done.code, done.json["problems"]) == (0, []), done
    done = site.run("ledger", "verify", "--repository")
    assert done.code == 1 and any("it vanished" in said for said in done.json["problems"]), done
