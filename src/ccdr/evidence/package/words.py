"""What a package says in words: README.txt (how to verify it) and LIMITS.txt (what it does not show)."""

from __future__ import annotations

from collections.abc import Sequence

README = """\
This is a package of evidence (BagIt, RFC 8493), written by ccdr.

1. Every file is as it was written:   sha256sum -c tagmanifest-sha256.txt manifest-sha256.txt
2. All of it, by ccdr, offline:       ccdr ledger verify . --pin KEY --anchor CHECKPOINT
   KEY is the public key, CHECKPOINT a file of data/checkpoints: have both by another way than this package.
3. Without ccdr: docs/how-to/verify-a-package.md does the same with sha256sum, openssl and ssh-keygen.

data/ledgers      the records, a line each        data/population.csv   every run of the period, as rows
data/checkpoints  signed notes over the lines     data/tests            restore tests, as in-toto statements
data/signed       what people have signed         data/report.html      what people read
data/plans        the texts of plans              data/LIMITS.txt       what this package does not show

The report, the page, the rows and the controls are made of the records alone: 2 makes them anew, and compares. Whoever
opens report.html without it reads what somebody may have changed.
"""

_ALWAYS = """\
What this package does not show

- Without a key and an anchor that you had by another way than this package, it is only consistent by itself: whoever
  can write to the host, and has its key, can make all of it anew.
- A change before the newest anchored checkpoint is found. Of the records after it, nothing is shown.
- A record that was false when it was written looks true. Do a restore test again: ccdr test --snapshot ID.
- Whose the signed statements in it are: it was written without a file of who may sign. A name in it is a claim:
  ccdr report --package . --signers FILE, by a file that you had by another way, shows whose they are.
- A restore test that was INCONCLUSIVE has no statement: the predicate has no word for it. It is a record and a row.
"""
_PART = """\
- This is a part of the ledger, and what it tells is judged by what it shows: of before the period, each asset's newest
  backup and restore test of each outcome. Of records that are not shown there are only hashes (tree.jsonl): that none
  of the period, or of these plans, is among them is not proven.
- `prev` of a record is held to the record before it only where that is shown, too. The tree holds all of them to the
  checkpoints. Records after the last checkpoint have no such hold.
- Who guesses a record that is not shown word for word, with its time to the microsecond, can see that the guess is
  right.
"""
_TENANT_WORDS = """\
- It is for one client, whose plans are: {plans}. Records of the host itself, and of other clients, are hashes only.
  Completeness among them is unproven. The number of all records is told. So is a record of how a plan's secrets are
  kept that names other plans: it has no row either.
- Plans that hold the data of several clients are in no client's package, since their records tell of all of them.
- Who began the ledger and made its keys stands in those records: the account and the host.
"""
_NO_TEXTS = "- The texts of plans are not in it: their digests are, in records of plan.version.\n"
_UNSIGNED = "- No key signs this ledger: there is no checkpoint, and the statements have no signature.\n"


def limits(*, part: bool, plans: Sequence[str] | None, texts: bool, signed: bool) -> str:
    """`plans`: of one tenant's package; None: it is no one's."""
    text = _ALWAYS
    text += _PART if part else ""
    text += _TENANT_WORDS.format(plans=", ".join(plans)) if plans is not None else ""
    text += "" if texts else _NO_TEXTS
    return text + ("" if signed else _UNSIGNED)
