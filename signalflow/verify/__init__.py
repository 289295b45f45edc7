"""An oracle of its own: what the tables must hold, computed from the raw topic, and whether they do.

It shares no code with the pipeline (a contract of import-linter): a mistake there is not repeated here.
`expected(records)` and `compare(expected, database_url)` serve tests; `run.verify(settings)` is the command.
"""

from signalflow.verify.compare import compare
from signalflow.verify.expect import Expected, Scope, expected
from signalflow.verify.figures import Rules
from signalflow.verify.report import Report, TableReport

__all__ = ["Expected", "Report", "Rules", "Scope", "TableReport", "compare", "expected"]
