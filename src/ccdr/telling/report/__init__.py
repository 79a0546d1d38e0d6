"""What people read: the evidence of a period, judged and told.

The way of the data: `evidence.py` takes every record once while the ledger is verified, `judge.py` says where each
asset and plan stands by it, `answer.py` says it in one sentence; `population.py` (CSV), `document.py` (JSON) and
`page.py` (HTML; `charts.py` says where the marks go) write it down.
"""

from collections.abc import Callable, Iterator, Mapping

from ccdr.telling.report.build import Report, make_report
from ccdr.telling.report.document import json_lines
from ccdr.telling.report.page import html
from ccdr.telling.report.period import Period, period_of
from ccdr.telling.report.population_csv import csv_text

WRITERS: Mapping[str, Callable[[Report], Iterator[bytes]]] = {"html": html, "json": json_lines, "csv": csv_text}

__all__ = ["WRITERS", "Period", "Report", "csv_text", "html", "json_lines", "make_report", "period_of"]
