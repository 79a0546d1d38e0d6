"""This machine: its processes, clocks, secrets, and the state directory."""
