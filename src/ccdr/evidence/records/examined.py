"""Records of what was seen, on one host, of how a plan's secrets and repositories are protected."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.evidence.records.values import OfPlan, Record, RecordedTls
from ccdr.model.kinds import Count, Digest, Time, Value, about

Way = Annotated[
    Literal["this_host", "loopback", "tls", "ssh", "by_itself", "plain"],
    about("how it is reached: `by_itself`: by a store's own program, which encrypts; `plain`: readable on the way"),
]


class ExaminedRepository(Value, frozen=True, kw_only=True, gc=False):
    """One of a plan's repositories. What restic stores is encrypted, whatever the format."""

    way: Way
    site: Annotated[str | None, about("where it lies, as the plan says")] = None
    beside_source: Annotated[
        Literal["path", "loopback"] | None,
        about(
            "it lies on the machine where a source stands: a `path` of that machine's own disks, or reached by its "
            "`loopback`, which may be a tunnel's end; null: nothing shows that"
        ),
    ] = None
    tls: Annotated[RecordedTls | None, about("of the way there, where that is TLS; null: not seen")] = None
    format: Annotated[Count | None, about("restic's; null: it could not be opened")] = None
    keys: Annotated[Count | None, about("how many passwords open it")] = None
    oldest_key: Annotated[Time | None, about("when the oldest of these was set")] = None
    key_ids: Annotated[list[Digest], about("the newest key files, by restic's full ids")] = []
    fast_keys: Annotated[Count, about("how many of these passwords have a fast key beside restic's own")] = 0
    parted_keys: Annotated[list[Digest], about("left of a password's two: the other was removed past ccdr")] = []


class ExaminedSecret(Value, frozen=True, kw_only=True, gc=False):
    """A file that holds a secret; nothing of what it holds."""

    place: Annotated[str, about("where the plan names it")]
    there: bool
    open_to_others: Annotated[bool, about("others than its owner may read it")] = False
    changed: Annotated[Time | None, about("when the file was last written")] = None
    weak: Annotated[bool | None, about("a password that may be guessed; null: no password, or not known")] = None
    also_in: Annotated[list[str], about("other plans that have the same password for something else")] = []


class PlanExamined(Record, frozen=True, kw_only=True, gc=False):
    """How a plan's secrets are kept, and how its repositories and sources are reached."""

    kind: Literal["plan.examined"] = "plan.examined"
    plan: OfPlan
    version: Literal[4] = 4
    site: Annotated[str | None, about("where the source stands, as the plan says")] = None
    repositories: Annotated[
        dict[str, ExaminedRepository],
        about("`primary`, each copy by its name, `ledger_repository`; that of the shipped log below one: `.log`"),
    ]
    sources: Annotated[dict[str, Way], about("of the assets that a server holds, by name")] = {}
    secrets: list[ExaminedSecret] = []
    floors_sha256: Annotated[Digest | None, about("of the floors of versions that were in force")] = None
    controls_sha256: Annotated[Digest | None, about("of the map of laws and standards that was in force")] = None
    approval: Annotated[
        Literal["holds", "refused", "unreadable"] | None,
        about(
            "the newest approval's signature, verified again: `refused`: it is none of who may approve now; "
            "`unreadable`: who may could not be read; null: nobody has approved it"
        ),
    ] = None
    review: Annotated[
        Literal["holds", "refused", "unreadable"] | None,
        about("the same of the newest review of who has access; null: nobody signed it"),
    ] = None
    attestations: Annotated[
        dict[str, Literal["holds", "refused", "unreadable"]],
        about("the same of each signed attestation of this host, by its record's number, where the plan has approval"),
    ] = {}
