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
    version: Literal[3]
    digest: Annotated[Digest, about("the version's, as `plan.version` has it")]
    asks: Annotated[bool, about("that version has an `approval:` block: the next one needs an approval, too")]
    review_by: Annotated[Time, about("when somebody is to look at it again")]
    made: Annotated[Time, about("when the text was written")]
    nonce: Nonce
    by: SignedBy
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class AttestationRecord(Record, frozen=True, kw_only=True, gc=False):
    """Somebody states what no tool can test, until a time, or has ended that. Where they signed, it is the text that
    these values make."""

    kind: Literal["attestation"]
    version: Literal[3]
    act: Literal["made", "ended"]
    item: Annotated[
        Literal[
            "staff-training",
            "joiners-leavers",
            "disk-encryption",
            "siem",
            "data-centre",
            "host-patching",
            "firewall-ids",
            "processing-record",
            "processor-agreements",
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
