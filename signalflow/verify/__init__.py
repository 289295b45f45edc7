"""An independent oracle: it computes from the raw topic what the tables must hold, and compares.

It shares no code with the pipeline (import-linter checks this), so a mistake there is not repeated here. The one
exception is the rule of signals: what is checked there is the way of the observations (`signals.py`).
`expected(records)` and `compare(expected, database_url)` serve tests; `run.verify(settings)` is the command.
"""

from signalflow.verify.compare import compare
from signalflow.verify.expect import Expected, Scope, expected
from signalflow.verify.figures import Rules
from signalflow.verify.report import Report, TableReport

__all__ = ["Expected", "Report", "Rules", "Scope", "TableReport", "compare", "expected"]
