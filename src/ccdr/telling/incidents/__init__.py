"""Incidents put into words: shown, listed, drafted, registered.

`view.py` is one as people see it, `draft.py` a notification to be completed (in English and Romanian: `english.py`,
`romanian.py`), `register.py` the register of GDPR 33(5).
"""

from ccdr.telling.incidents.view import IncidentShown, Listed, listed, shown

__all__ = ["IncidentShown", "Listed", "listed", "shown"]
