"""To which point a recovery is asked to go: a time, a name, the end."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.batches import NOW
from tests.support.harness import Site

from ccdr.jobs.shipping.choice import target_of
from ccdr.model.errors import UsageProblem
from ccdr.ports.log import RecoveryTarget


def test_a_target_is_a_time_a_name_or_the_end() -> None:
    assert target_of("latest", UTC) == RecoveryTarget()
    assert target_of("2026-11-24T14:05:00+02:00", UTC).time == NOW + timedelta(minutes=5)
    assert target_of("2026-11-24 14:05", ZoneInfo("Europe/Bucharest")).time == NOW + timedelta(minutes=5)
    assert target_of("2026-11-24 12:05:00.000000+00", UTC).time == NOW + timedelta(minutes=5)  # as psql has it
    assert target_of("2026-11-24T14:05:00Z", ZoneInfo("Europe/Bucharest")).time == NOW + timedelta(minutes=125)
    for name in ("before-migration", "20261124", "2026-W48", "2026-11-24", "2026-11-24T12", "20261124T120000", "0-1-4711",
                 "2026-11-24  12:00", "2026-11-24T12:00:00,5", "2026-328", "2026-W48-2T12:00", " 2026-11-24 12:00",
                 "2026-11-24x12:00", "２０２６-11-24 12:00", "2026-11-24 12:00\n"):  # fmt: skip
        assert target_of(name, UTC) == RecoveryTarget(name=name)


@pytest.mark.parametrize(
    "text", ["2026-02-30 10:00", "2026-11-24 24:01", "2026-13-01 00:00", "0001-01-01 00:00+14:00", ""]
)
def test_what_looks_like_a_time_and_is_none_is_a_mistake(text: str) -> None:
    with pytest.raises(UsageProblem):
        target_of(text, UTC)


def test_what_is_no_time_ends_as_other_mistakes_of_the_command_line_do(site: Site) -> None:
    path = site.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("assets:", "timezone: Europe/Bucharest\nassets:", 1))
    for at, code in (
        ("2026-10-25 03:30", 2),
        ("2026-03-29 03:30", 2),
        ("", 2),
        ("2026-10-25 03:30+02:00", 0),
        ("20261124", 0),
    ):
        done = site.run("test", "p", "--at", at, "--dry-run")
        assert done.code == code, (at, done)


def test_a_base_may_be_named_and_a_rule_is_no_base(site: Site) -> None:
    """`--at` with `--snapshot`: an id is the base; `oldest` does not say which."""
    done = site.run("test", "p", "--at", "latest", "--snapshot", "oldest", "--dry-run")
    assert done.code == 2 and "oldest does not say which" in done.json["error"], done
    done = site.run("test", "p", "--at", "latest", "--snapshot", "1f3e9a2b", "--dry-run")
    assert (done.code, done.json["would_test"][0]["snapshot"][:17]) == (0, "the base 1f3e9a2b"), done


def test_an_hour_that_a_clock_repeats_or_leaves_out_has_to_be_told_with_its_offset() -> None:
    zone = ZoneInfo("Europe/Bucharest")
    with pytest.raises(UsageProblem, match="twice") as twice:
        target_of("2026-10-25 03:30", zone)
    assert "2026-10-25 03:30+03:00" in str(twice.value.hint) and "2026-10-25 03:30+02:00" in str(twice.value.hint)
    with pytest.raises(UsageProblem, match="never") as never:
        target_of("2026-03-29 03:30", zone)
    assert "2026-03-29 03:30+02:00" in str(never.value.hint)
    assert target_of("2026-10-25 03:30+02:00", zone).time == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert target_of("2026-10-25 02:59:59", zone).time == datetime(2026, 10, 24, 23, 59, 59, tzinfo=UTC)
    assert target_of("2026-03-29 04:00", zone).time == datetime(2026, 3, 29, 1, tzinfo=UTC)


ZONES = st.sampled_from(["UTC", "Europe/Bucharest", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])
# Around the changes too, where an hour in four is one of them.
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1)) | st.builds(
    lambda day, minutes: datetime(2026, *day) + timedelta(minutes=minutes),
    st.sampled_from([(3, 29), (10, 25), (3, 8), (11, 1), (4, 5), (10, 4)]),
    st.integers(0, 300),
)


@given(MOMENTS, ZONES, st.sampled_from("T "))
def test_a_local_time_is_taken_only_where_it_is_one_moment(naive: datetime, zone_name: str, between: str) -> None:
    zone, text = ZoneInfo(zone_name), naive.isoformat(between)
    hours = (naive.replace(tzinfo=UTC) + timedelta(minutes=n) for n in range(-840, 841, 15))
    offsets = {moment.astimezone(zone).utcoffset() for moment in hours}
    meant = {m for o in offsets if o is not None and (m := (naive - o).replace(tzinfo=UTC)).astimezone(zone).replace(tzinfo=None) == naive}  # fmt: skip
    if len(meant) == 1:
        assert target_of(text, zone) == RecoveryTarget(time=meant.pop())
    else:
        with pytest.raises(UsageProblem):
            target_of(text, zone)


@given(MOMENTS, ZONES, st.integers(-14 * 60, 14 * 60))
def test_a_time_with_its_offset_is_that_moment_in_every_zone(naive: datetime, zone: str, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert target_of(moment.isoformat(), ZoneInfo(zone)) == RecoveryTarget(time=moment)


@given(st.text(min_size=1))
def test_whatever_else_is_said_is_a_name(text: str) -> None:
    if re.match(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d", text, re.ASCII) or not text.strip() or text == "latest":
        return
    assert target_of(text, UTC) == RecoveryTarget(name=text)
