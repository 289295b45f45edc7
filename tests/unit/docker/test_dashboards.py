"""The dashboards of Grafana: made of one file, provisioned, and each panel says what it shows."""

import re
import runpy

import pytest
import yaml

from tests.unit.docker.compose import DOCKER, ROOT, made_env, rendered
from tests.unit.docker.monitoring import DASHBOARDS, Panel, dashboards, panels

GRAFANA = DOCKER / "grafana"
SHARED_UNITS = {"short", "s", "bytes", "ops", "reqps", "percentunit"}


def test_the_dashboards_are_those_of_the_panels_file() -> None:
    made = runpy.run_path(str(ROOT / "scripts" / "make_dashboards.py"))["made"]()
    written = {path.name: path.read_text(encoding="utf-8") for path in DASHBOARDS}
    assert written == made, "run: python scripts/make_dashboards.py"
    assert set(dashboards()) == {"overview", "pipeline", "ingestion", "api", "database"}


def test_grafana_finds_every_dashboard_and_each_finds_its_source() -> None:
    service = rendered(made_env())["services"]["grafana"]
    mounted = dict(volume.split(":")[:2] for volume in service["volumes"])
    (provider,) = yaml.safe_load((GRAFANA / "provider.yaml").read_text())["providers"]
    folder = provider["options"]["path"]
    for path in DASHBOARDS:
        assert mounted[f"./grafana/dashboards/{path.name}"] == f"{folder}/{path.name}"
    assert mounted["./grafana/provider.yaml"].startswith("/etc/grafana/provisioning/dashboards/")
    assert service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] in mounted.values()
    (source,) = yaml.safe_load((GRAFANA / "datasource.yaml").read_text())["datasources"]
    used = {
        (each["datasource"]["type"], each["datasource"]["uid"])
        for dashboard in dashboards().values()
        for panel in dashboard["panels"]
        for each in (panel, *panel["targets"])
    }
    assert used == {(source["type"], source["uid"])}


def test_dashboards_and_panels_have_ids_and_places_of_their_own() -> None:
    assert len({dashboard["uid"] for dashboard in dashboards().values()}) == len(dashboards())
    for dashboard in dashboards().values():
        shown = dashboard["panels"]
        assert len({panel["id"] for panel in shown}) == len(shown)
        assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in shown}) == len(shown)
        assert len({panel["title"] for panel in shown}) == len(shown)
        assert {panel["fieldConfig"]["defaults"]["unit"] for panel in shown} <= SHARED_UNITS


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: f"{panel.dashboard}: {panel.title}")
def test_a_panel_says_what_it_shows(panel: Panel) -> None:
    assert re.fullmatch(r"[A-Z0-9].*\.", panel.description)
    assert "signalflow_" not in panel.title + panel.description
    assert panel.queries
    # A curve of a counter tells only how long its process has run.
    assert not any(re.fullmatch(r"\w+_total(\{.*\})?", query) for query in panel.queries)
    # A number that is always there hides that its series is not. Only alerts have no series while all is well.
    assert all("vector(" not in query or "ALERTS" in query for query in panel.queries)
