"""The sign-off of a period: what is signed, and what a record tells of it. Pure.

What is signed names the whole population of the period by its rows and their SHA-256, as the CSV report has them, and
says what it comes to: a person reads it before they sign. Whoever has the same ledger can have the same rows again.
"""

from __future__ import annotations

from ccdr.evidence.records.statements import SIGN_PERIOD, PeriodPopulation

SIGNED_OFF = SIGN_PERIOD.kind
ROOT = "root"
UNREADABLE = "(not a name)"  # another hand's record may hold anything, and this goes into what somebody signs
MOST = 1000  # accounts, plans or ledgers that one text names


def not_known(given: PeriodPopulation) -> int:
    """How many tests were begun by a command of an account that says nothing of a person."""
    return sum(count for name, count in given.accounts.items() if not names_somebody(name))


def told_of_not_known(given: PeriodPopulation) -> str:
    """The same for people; empty where each names somebody."""
    if not (many := not_known(given)):
        return ""
    which = f"{many} of {given.tests_by_command} tests that no schedule began were begun as root"
    return f"{which}, or by an account without a name here: by whom is not known"


def names_somebody(account: str) -> bool:
    """`root` is whoever has its rights; `uid 1001` is of a host that is not here."""
    return account not in (ROOT, UNREADABLE) and not account.startswith("uid ")


def person(name: str) -> str:
    """Who an account, or a name in the file of signers, is: `alice` of `alice@db1`, and of `Alice@example.com`."""
    return name.rpartition("\\")[2].partition("@")[0].casefold()
