"""Contracts between the rooms, in prose and types.

Engines and checks never start a process and never see Docker or restic: they are handed a `Place` and say what to run
in it. `host/processes.py` (this host) and `sandbox/` (a container) implement it; tests have fakes.
"""
