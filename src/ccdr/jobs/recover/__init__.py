"""Brings a whole plan back to one moment, each asset onto its target, in order; goes on after whatever stopped it.

`states.py` is what is known and decided before anything is done: for each asset the state that is nearest to the
moment, how it was proven, what is lost, how long it should take.
"""
