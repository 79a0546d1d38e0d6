"""Evidence that is there and shows nothing of what is asked: of an empty repository, of another one, of a sandbox that
never came about, of somebody who was never looked for."""

from __future__ import annotations

from dataclasses import replace

from tests.support.chronicle import NOUGHT, Chronicle
from tests.support.control_histories import (
    BOX,
    OPENED,
    SPOKEN,
    attested,
    compared,
    copied,
    erased,
    examined,
    replayed,
    roles_tried,
    well,
)
from tests.support.controls import known_of, part_of
from tests.support.judged import about, judged

from ccdr.evidence.controls.values import ControlState, PartState
from ccdr.evidence.records import AccessTested, Unread, of_mapping
from ccdr.model.values import rfc3339
from ccdr.plans.job import Job

CONTRADICTED, EXPIRED, SHOWN, STATED, NOTHING = ControlState
ERASURES = "legal-compliance/erasures"
ISOLATION, IMAGES = "security-testing/isolation", "updates/images"


def shown(job: Job, past: Chronicle, part: str, at: float = 0.1) -> PartState:
    return part_of(known_of(job, past, at), part)


def withdrawn(past: Chronicle, hours: float, entry: str, entries: int) -> None:
    erased(past, hours, entries)
    past.records[-1]["withdraws"] = entry


def test_once_the_only_entry_is_withdrawn_nobody_is_asked_for_until_another_is_added(job: Job) -> None:
    """Then no test replays anything, and what was replayed before never gets newer."""
    for result in ("PROVEN", "FAILED"):
        past = about(job)
        erased(past, -9)
        replayed(past, -8, result, found=[])
        withdrawn(past, -7, "e-000001", 2)
        (seen,) = shown(job, past, ERASURES).observed
        assert (seen.state, seen.asset) == (NOTHING, None), seen
        erased(past, -6, 3)
        (seen,) = shown(job, past, ERASURES).observed
        assert (seen.state, seen.asset) == ({"PROVEN": EXPIRED, "FAILED": CONTRADICTED}[result], "crm"), seen
    past = about(job)
    erased(past, -9)
    erased(past, -8, 2)
    replayed(past, -7, head={"register": "r", "entries": 2, "hash": NOUGHT}, entries=2)
    withdrawn(past, -6, "e-000001", 3)
    assert shown(job, past, ERASURES).state is EXPIRED, "another one stands"


def test_a_register_that_is_gone_fails_though_nobody_stands_in_it(job: Job) -> None:
    past = about(job)
    erased(past, -9)
    withdrawn(past, -7, "e-000001", 2)
    replayed(past, -6, "FAILED", head=None, entries=0, found=[])
    assert shown(job, past, ERASURES).state is CONTRADICTED


def test_who_was_added_on_another_host_is_asked_for_where_it_is_replayed(job: Job) -> None:
    past = about(job)
    replayed(past, -4, "ERASED")
    (seen,) = shown(job, past, ERASURES).observed
    assert (seen.state, seen.asset) == (NOTHING, "crm") and "no canary" in seen.text, seen


def test_a_test_that_came_to_no_sandbox_shows_nothing_of_one(job: Job) -> None:
    """Nothing could be fetched: that no sandbox was needed nobody can tell."""
    past = about(job)
    past.stored(-5, "old")
    past.tested(-0.2, "old", "FAIL", sandbox={"image": None})
    for part in (ISOLATION, IMAGES):
        assert shown(job, past, part).state is NOTHING, part


def test_sandboxes_beside_a_test_are_asked_too(job: Job) -> None:
    past = about(job)
    past.stored(-5, "old")
    made, old = (rfc3339(past.at(-hours)) for hours in (24, 200 * 24))
    box = BOX | {"image_created": made}

    def beside(**more: object) -> dict[str, object]:
        snapshot = {"id": NOUGHT, "consistent_point": made, "bytes": 5, "manifest_sha256": NOUGHT}
        return {"asset": "queues", "snapshot": snapshot, "skew_s": 1.0, "phases": {}, "sandbox": box | more}

    past.tested(-0.3, "old", sandbox=box, others=[beside()])
    assert shown(job, past, ISOLATION).state is shown(job, past, IMAGES).state is SHOWN, "the twin"
    past.tested(-0.2, "old", sandbox=box, others=[beside(network="bridge", image_created=old)])
    assert shown(job, past, ISOLATION).state is CONTRADICTED
    assert shown(job, past, IMAGES).state is EXPIRED
    past.tested(-0.1, "old", sandbox={}, others=[beside(network="bridge", image_created=old)])
    assert shown(job, past, ISOLATION).state is CONTRADICTED, "it needed none itself"
    assert shown(job, past, IMAGES).state is EXPIRED


def test_a_repository_without_a_snapshot_attests_nothing(job: Job) -> None:
    past = about(job)
    compared(past, -3)
    assert shown(job, past, "monitoring-and-audit/comparisons").state is SHOWN, "the twin"
    compared(past, -2)
    past.records[-1] |= {"snapshots": 0, "newest": 0}
    assert shown(job, past, "monitoring-and-audit/comparisons").state is NOTHING


def test_an_empty_copy_is_no_copy(job: Job) -> None:
    past = about(job)
    copied(past, -2)
    assert shown(job, past, "physical-security/copies").state is SHOWN, "the twin"
    copied(past, -1, there={"crm": 0}, newest={})
    assert shown(job, past, "physical-security/copies").state is NOTHING


def test_what_was_never_restored_from_a_copy_is_not_shown_by_who_cannot_know(bare_copy: Job) -> None:
    """An asset without a schedule for restore tests is restored from nowhere."""
    past = about(bare_copy)
    copied(past, -2, tested=False)
    assert shown(bare_copy, past, "physical-security/copies").state is NOTHING


def test_a_source_that_is_reached_by_tls_of_which_no_backup_tells_is_not_covered(job: Job) -> None:
    """Since another way was written into the plan."""
    past = about(job)
    past.stored(-4, "s", tls=SPOKEN)
    examined(past, sources={"crm": "tls"}, repository=OPENED | {"tls": SPOKEN})
    assert shown(job, past, "encryption/tls").state is SHOWN, "the twin"
    past.stored(-2, "t")
    (seen,) = [one for one in shown(job, past, "encryption/tls").observed if one.asset]
    assert seen.state is NOTHING and "nobody saw which TLS" in seen.text, seen


def test_a_version_that_no_record_tells_is_not_covered(job: Job) -> None:
    past = about(job)
    past.stored(-5, "old", tools={"source": "1", "ccdr": "0.1.0"})
    (seen,) = shown(job, past, "updates/versions").observed
    assert seen.state is NOTHING and "restic" in seen.text, seen
    past.tested(-4, "old", tools={"restic": "0.18.0", "ccdr": "0.1.0"})
    assert shown(job, past, "updates/versions").state is SHOWN, "the twin"


ROLES = "access-control/roles"


def test_a_trial_of_other_credentials_shows_nothing_of_these(roles: Job) -> None:
    """The plan names another file than was tried, or that one was written anew."""
    past = about(roles)
    place = {"place": "access.verify.env_file", "there": True, "changed": rfc3339(past.at(-5))}
    roles_tried(past, -4)
    examined(past, secrets=[place])
    assert shown(roles, past, ROLES).state is SHOWN, "the twin"
    examined(past, secrets=[place | {"changed": rfc3339(past.at(-2))}])
    (seen,) = shown(roles, past, ROLES).observed
    assert seen.state is NOTHING and "access.verify.env_file was changed" in seen.text, seen
    roles_tried(past, -1)
    assert shown(roles, past, ROLES).state is SHOWN
    roles_tried(past, -0.5, named="1" * 64)
    (seen,) = shown(roles, past, ROLES).observed
    assert seen.state is NOTHING and "names other credentials" in seen.text, seen


def test_a_trial_that_does_not_say_of_which_credentials_is_none(roles: Job) -> None:
    past = about(roles)
    roles_tried(past, -1)
    (told,) = past.records
    assert isinstance(of_mapping(told), AccessTested), "the twin"
    for lacks in (told | {"named_sha256": None}, {key: told[key] for key in told if key != "named_sha256"}):
        assert isinstance(of_mapping(lacks), Unread)


def test_an_asset_of_the_same_server_of_which_nobody_is_registered_is_not_covered(twice: Job) -> None:
    """Whoever was erased of the dump is in the copy of the whole server too."""
    past = about(twice)
    erased(past, -5)
    replayed(past, -4)
    known = known_of(twice, past)
    (plan,) = known.plans

    def states() -> dict[str | None, ControlState]:
        each = [judged(Job(twice.loaded, asset), past, 0.1) for asset in ("crm", "whole", "elsewhere")]
        asked = replace(known, plans=[replace(plan, statuses=each)], histories=past.histories)
        return {one.asset: one.state for one in part_of(asked, ERASURES).observed}

    assert states() == {"crm": SHOWN, "whole": NOTHING}
    past.asset = "whole"
    erased(past, -3, 3)
    assert states() == {"crm": SHOWN, "whole": NOTHING}
    replayed(past, -2, head={"register": "r", "entries": 3, "hash": NOUGHT})
    assert states() == {"crm": SHOWN, "whole": SHOWN}


def test_an_agreement_with_one_client_is_none_with_another(tenants: Job) -> None:
    past, part = about(tenants), "legal-compliance/processor-agreements"
    attested(past, -30, "processor-agreements", 300, scope="acme")
    found = shown(tenants, past, part)
    assert found.state is NOTHING and found.observed[-1].text == "nobody states it of beta"
    assert (found.observed[-1].step or "").endswith(" --of beta")
    attested(past, -20, "processor-agreements", 300, scope="beta")
    assert shown(tenants, past, part).state is STATED
    by_one_word = about(tenants)
    attested(by_one_word, -30, "processor-agreements", 300)
    assert shown(tenants, by_one_word, part).state is STATED


def test_an_encrypted_disk_of_another_host_is_none_of_those_that_tested(job: Job) -> None:
    past, part = about(job), "encryption/disk-encryption"
    well(past)
    attested(past, -30, "disk-encryption", 300, scope="another")
    found = shown(job, past, part)
    assert found.state is NOTHING and found.observed[-1].text == "nobody states it of h"
    attested(past, -20, "disk-encryption", 300, scope="h")
    assert shown(job, past, part).state is STATED
