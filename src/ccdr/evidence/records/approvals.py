"""Records of what people have signed: approvals of plans, and what they attest."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from ccdr.evidence.records.values import Digest, OfPlan, Record, RecordedUser, Tenant, Time, Value, Word, about

Nonce = Annotated[
    str,
    Meta(
        min_length=32,
        max_length=32,
        extra_json_schema={"pattern": "^[0-9a-f]{32}$", "description": "random, so that no two texts are the same"},
    ),
]
Signature = Annotated[
    str,
    Meta(
        max_length=16_384,
        extra_json_schema={
            "pattern": "^-----BEGIN SSH SIGNATURE-----\n[A-Za-z0-9+/=\n]+-----END SSH SIGNATURE-----\n$",
            "examples": ["-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"],
            "description": "OpenSSH's, armoured: `ssh-keygen -Y verify` says whose it is",
        },
    ),
]


class SignedBy(Value, frozen=True, kw_only=True, gc=False):
    """Who has signed, as the file of signers had it, and the signature."""

    name: Annotated[
        str, Meta(extra_json_schema={"pattern": r"^[A-Za-z0-9][A-Za-z0-9_.+@-]{0,127}$", "description": "their name"})
    ]
    key: Annotated[
        str,
        Meta(
            extra_json_schema={
                "pattern": "^SHA256:[A-Za-z0-9+/]{43}$",
                "examples": ["SHA256:w78ei3Mi9ZG0raK9kVS88toRd5CtvcNwuYzdBa60Prg"],
                "description": "the key's fingerprint",
            }
        ),
    ]
    user_verified: Annotated[
        bool | None,
        about("a security key signed, and says whether it knew its user by a PIN or a finger; null: no security key"),
    ] = None
    signature: Signature


class PlanApproved(Record, frozen=True, kw_only=True, gc=False):
    """Somebody has approved one version of a plan: they signed the text that `digest`, `review_by`, `made` and `nonce`
    make with the plan's name."""

    kind: Literal["plan.approved"]
    plan: OfPlan
    version: Literal[4]
    digest: Annotated[Digest, about("the version's, as `plan.version` has it")]
    asks: Annotated[bool, about("that version has an `approval:` block: the next one needs an approval, too")]
    review_by: Annotated[Time, about("when somebody is to look at it again")]
    made: Annotated[Time, about("when the text was written")]
    nonce: Nonce
    by: SignedBy
    tenant: Tenant = "default"
    who: RecordedUser | None = None


OperationCode = Annotated[
    Literal["prune", "key-remove", "register", "recover"],
    about("what it is for: a prune outside its schedule, a repository's key, the register of erasures"),
]
About = Annotated[Word | None, about("what of it, an id; null where there is no more to say")]
OfRepository = Annotated[Digest, about("SHA-256 of the repository's address")]
OfVersion = Annotated[Digest, about("the plan's version, as `plan.version` has it")]


class ApprovalUsed(Record, frozen=True, kw_only=True, gc=False):
    """A request that another person had signed was carried out, from here on: it cannot be used again. Both have signed
    the text that these values make."""

    kind: Literal["approval.used"]
    plan: OfPlan
    version: Literal[4]
    operation: OperationCode
    about: About = None
    digest: OfVersion
    repository: OfRepository
    on: Annotated[str, about("the host that it was for")]
    request_sha256: Annotated[Digest, about("of the text")]
    snapshots: Annotated[list[Digest], about("what may be removed, by id")] = []
    made: Time
    expires: Time
    nonce: Nonce
    requested: SignedBy
    approved: SignedBy
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class ApprovalRefused(Record, frozen=True, kw_only=True, gc=False):
    """Something that needs another person's signature was asked for without one that holds: nothing was done."""

    kind: Literal["approval.refused"]
    plan: OfPlan
    version: Literal[4]
    operation: OperationCode
    about: About = None
    why: Annotated[
        Literal[
            "missing",
            "unreadable",
            "not_as_written",
            "signature",
            "second_factor",
            "same_person",
            "another_operation",
            "another_version",
            "another_repository",
            "another_host",
            "expired",
            "used",
            "signers",
        ],
        about("what was wrong with it"),
    ]
    request_sha256: Digest | None = None
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class GlassBroken(Record, frozen=True, kw_only=True, gc=False):
    """Somebody went on without an approval, for a reason. It stands until somebody who may approve has reviewed it."""

    kind: Literal["approval.glass"]
    plan: OfPlan
    version: Literal[4]
    operation: OperationCode
    about: About = None
    digest: OfVersion
    repository: OfRepository
    why_sha256: Annotated[Digest, about("of a salt, a newline and the words, kept apart")]
    nonce: Nonce
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class GlassReviewed(Record, frozen=True, kw_only=True, gc=False):
    """Somebody who may approve has looked at why the glass was broken."""

    kind: Literal["approval.reviewed"]
    plan: OfPlan
    version: Literal[4]
    of: Annotated[Nonce, about("the nonce of the record `approval.glass`")]
    why_sha256: Annotated[Digest, about("what they found: of a salt, a newline and the words, kept apart")]
    made: Time
    nonce: Nonce
    by: SignedBy
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class AttestationRecord(Record, frozen=True, kw_only=True, gc=False):
    """Somebody states what no tool can test, until a time, or has ended that. Where they signed, it is the text that
    these values make."""

    kind: Literal["attestation"]
    version: Literal[4]
    act: Literal["made", "ended"]
    item: Annotated[
        Literal[
            "staff-training",
            "instructions",
            "emergency-mode",
            "criticality-analysis",
            "documents-kept",
            "joiners-leavers",
            "disk-encryption",
            "siem",
            "data-centre",
            "restore-segregation",
            "host-patching",
            "firewall-ids",
            "processing-record",
            "processor-agreements",
            "assistance",
            "card-data",
            "penetration-test",
            "incident-filings",
            "password-policy",
        ],
        about("what is attested"),
    ]
    scope: Annotated[Word | None, about("what of it, where there are several: a host, a site, a tenant")] = None
    statement_sha256: Annotated[
        Digest, about("of a salt, a newline and the words, kept apart; where it is ended, of the reason")
    ]
    evidence_sha256: Annotated[Digest | None, about("SHA-256 of the evidence, which stays where it is")] = None
    valid_until: Time
    made: Annotated[Time, about("when the text was written that was signed")]
    nonce: Nonce
    by: Annotated[SignedBy | None, about("null: nobody signed it; `actor` says whose account recorded it")] = None
    who: RecordedUser | None = None
