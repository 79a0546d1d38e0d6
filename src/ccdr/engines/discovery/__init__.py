"""What there is to protect: `contract.py` is what each engine's own `discovery.py` keeps; what they share is here."""
