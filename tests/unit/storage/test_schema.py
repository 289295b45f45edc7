"""What a start learns about the schema without loading what migrates it."""

import subprocess
import sys

from alembic.script import ScriptDirectory

from signalflow.storage import migrate
from signalflow.storage.schema import known_revisions


def test_the_names_of_the_revisions_modules_tell_the_order_in_which_alembic_runs_them() -> None:
    walked = ScriptDirectory.from_config(migrate._config()).walk_revisions()
    assert known_revisions() == tuple(script.revision for script in walked)[::-1]


def test_a_worker_starts_without_loading_what_only_a_migration_needs() -> None:
    program = "import sys, signalflow.application; print({'alembic', 'sqlalchemy'}.intersection(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert loaded == "set()\n"
