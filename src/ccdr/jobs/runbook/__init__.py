"""Carries a runbook out: what runs, what waits for whom, what is next; goes on after whatever stopped it.

`events.py` is what a run's journal holds, `states.py` what follows from it (pure), and how long it took and will take;
`journal.py` keeps it on disk and, where the plan says so, in a bucket; `runners.py` carries out what a machine does,
`people.py` asks those who do the rest; `course.py` does one after the other what may be done.
"""
