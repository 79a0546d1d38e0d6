"""A plan is changed in a few values, and not in what somebody wrote around them."""

from __future__ import annotations

import re

import pytest

from ccdr.plans.edited import SHARED, ByHand, edited

PLAN = """\
# Ours. Do not touch (ă).
plan: p
assets:
  crm:   # the heart
    engine: postgres
    connection: {host: /old/run, user: ccdr, password_file: crm.pw}   # by its socket
  dialler:
    engine: mariadb
    connection:
      host: "/old/m.sock"
      user: ccdr
      password_file: gone.pw   # gone
"""
CRM, DIALLER = ("assets", "crm", "connection"), ("assets", "dialler", "connection")


def test_values_are_replaced_keys_added_and_left_out_and_comments_stay() -> None:
    found = edited(
        PLAN.encode(),
        {
            (*CRM, "host"): "/new dir/run",
            (*CRM, "port"): "5433",
            (*CRM, "password_file"): None,
            (*DIALLER, "host"): "/new/m.sock",
            (*DIALLER, "user"): "root",
            (*DIALLER, "password_file"): None,
            ("assets", "dialler", "data_directory"): "/new/data",
        },
    )
    assert found == (
        PLAN.replace(
            "{host: /old/run, user: ccdr, password_file: crm.pw}", '{port: 5433, host: "/new dir/run", user: ccdr}'
        )
        .replace('"/old/m.sock"', "/new/m.sock")
        .replace("      user: ccdr\n      password_file: gone.pw   # gone\n", "      user: root\n")
        .replace("    engine: mariadb\n", "    data_directory: /new/data\n    engine: mariadb\n")
    )


def test_nothing_to_change_changes_nothing() -> None:
    assert edited(PLAN.encode(), {}) == PLAN


@pytest.mark.parametrize(
    ("plan", "path"),
    [
        (PLAN, ("assets", "nobody", "connection", "host")),
        (PLAN, (*CRM, "host", "deeper")),
        ("a: &x {host: one}\nb: *x\n", ("a", "host")),
        ("a: {b: 1}\n", ("a", "b", "c")),
        ("a: [", ("a",)),
    ],
)
def test_what_it_cannot_be_sure_of_it_leaves_to_a_person(plan: str, path: tuple[str, ...]) -> None:
    values: dict[tuple[str, ...], str | None] = {path: "new"}
    if plan.startswith("a: &x"):
        values[("b", "host")] = "other"
    with pytest.raises(ByHand):
        edited(plan.encode(), values)


SHARES = """\
assets:
  crm: {engine: postgres, connection: &server {host: db1, user: ccdr}}
  whole: {engine: postgres, method: physical, connection: *server}
"""
WHOLE = ("assets", "whole", "connection")


def test_what_stands_for_two_places_is_not_changed_for_one_of_them() -> None:
    for path in (CRM, WHOLE):
        for key, value in (("host", "new"), ("port", "5433"), ("user", None)):
            with pytest.raises(ByHand, match=re.escape(SHARED)):
                edited(SHARES.encode(), {(*path, key): value})


def test_what_stands_for_two_places_that_change_alike_is_changed_once() -> None:
    both = {(*path, key): value for path in (CRM, WHOLE) for key, value in (("host", "new"), ("port", "5433"))}
    assert edited(SHARES.encode(), both) == SHARES.replace("{host: db1,", "{port: 5433, host: new,")
    with pytest.raises(ByHand, match=re.escape(SHARED)):
        edited(SHARES.encode(), both | {(*WHOLE, "host"): "other"})
