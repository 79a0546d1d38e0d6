"""A package for an auditor: BagIt (RFC 8493) around the ledger's lines, or around some of them with the others' hashes.

`bag.py` is the bag, `hidden.py` the tree over lines of which some are left out, `shown.py` the lines themselves,
`statements.py` restore tests as in-toto statements, `population.py` the rows against the lines, `verifying.py` all of
it. jobs/package/ writes one.
"""
