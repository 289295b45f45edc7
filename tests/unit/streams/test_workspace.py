"""Workers of one machine share no directory."""

import os
import socket
from pathlib import Path

import pytest

from signalflow.errors import Fatal
from signalflow.settings import Settings
from signalflow.streams import workspace as workspaces
from signalflow.streams.workspace import claim_workspace


def test_each_worker_without_a_name_gets_the_first_free_directory(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    claimed = [claim_workspace(settings) for _ in range(3)]
    assert [each.slot for each in claimed] == [0, 1, 2]
    assert [each.path for each in claimed] == [tmp_path / "workers" / f"worker-{n}" for n in (1, 2, 3)]
    os.close(claimed[1]._lock)  # as at the end of its process
    again = claim_workspace(settings)
    assert (again.name, again.slot, again.path) == (claimed[1].name, 1, claimed[1].path)


def test_workers_without_a_name_differ_by_host_and_directory_and_keep_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def claimed(host: str, directory: str) -> str:
        monkeypatch.setattr(socket, "gethostname", lambda: host)
        found = claim_workspace(Settings(state_dir=tmp_path / directory))
        os.close(found._lock)  # as at the end of its process
        return found.name

    names = {claimed(host, directory) for host in ("blue", "red") for directory in ("one", "two")}
    assert len(names) == 4
    assert claimed("blue", "one") in names
    assert claimed("blue", "two/../one") in names, "the same directory under another name"
    # Whoever wants to keep a name that they have seen may set it.
    strange = claimed("Zoë's host", "one")
    assert Settings(worker_name=strange).worker_name == strange


def test_a_named_worker_is_refused_while_another_has_its_name(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, worker_name="blue")
    held = claim_workspace(settings)
    assert (held.name, held.slot, held.path) == ("blue", 0, tmp_path / "workers" / "blue")
    with pytest.raises(Fatal, match=f"^{held.path} is in use .* SIGNALFLOW_WORKER_NAME or SIGNALFLOW_STATE_DIR$"):
        claim_workspace(settings)


def test_a_refused_worker_leaves_no_descriptor_open(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, worker_name="blue")
    held = claim_workspace(settings)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(Fatal):
        claim_workspace(settings)
    assert len(os.listdir("/proc/self/fd")) == before
    assert (held.path / "lock").stat().st_mode & 0o777 == 0o600


def test_a_machine_that_is_full_refuses_one_worker_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspaces, "MAX_WORKERS_ON_A_MACHINE", 2)
    held = [claim_workspace(Settings(state_dir=tmp_path)) for _ in range(2)]
    with pytest.raises(Fatal, match=f"^{held[-1].path} is in use"):
        claim_workspace(Settings(state_dir=tmp_path))
