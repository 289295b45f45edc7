"""The state of the schema, as the start of a process reads it without Alembic."""

import subprocess
import sys

import pytest
from alembic.script import ScriptDirectory

from signalflow.storage import migrate
from signalflow.storage.schema import known_revisions


def test_revisions_run_in_the_order_of_their_module_names() -> None:
    walked = ScriptDirectory.from_config(migrate._config()).walk_revisions()
    assert known_revisions() == tuple(script.revision for script in walked)[::-1]


@pytest.mark.slow
def test_a_worker_starts_without_loading_alembic() -> None:
    program = "import sys, signalflow.application; print({'alembic', 'sqlalchemy'}.intersection(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert loaded == "set()\n"
