"""A package for an auditor: BagIt (RFC 8493) around the ledger's lines, or around some of them with the others' hashes.

`bag.py` is the bag, `lines.py` the lines and the tree over those that are left out, `statements.py` restore tests as
in-toto statements and sign-offs as OpenSSH has them, `population.py` the rows against the lines, `verifying.py` all of
it. jobs/package.py writes one.
"""
