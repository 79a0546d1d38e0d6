"""What people read: the evidence of a period, judged and told. See `make_report`, `write_html`, `as_json`, `population_csv`.

The way of the data: `evidence.py` takes every record once while the ledger is verified, `judge.py` says where each asset
and plan stands by it, `answer.py` says it in one sentence; `population.py`, `document.py` and `page.py` write it down.
"""

from ccdr.report.build import LedgerFacts, Report, make_report
from ccdr.report.document import json_lines
from ccdr.report.page import html
from ccdr.report.period import Period, period_of
from ccdr.report.population import csv_text

__all__ = ["LedgerFacts", "Period", "Report", "csv_text", "html", "json_lines", "make_report", "period_of"]
