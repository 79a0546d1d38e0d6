"""What was recorded, and what follows from it: records, the ledger, the one fold and the one set of rules."""
