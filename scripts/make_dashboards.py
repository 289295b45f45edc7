"""Makes docker/grafana/dashboards/*.json of docker/grafana/panels.yaml: `python scripts/make_dashboards.py`."""

import json
from pathlib import Path
from typing import Any

import yaml

GRAFANA = Path(__file__).parents[1] / "docker" / "grafana"
# The uid in datasource.yaml.
SOURCE = {"type": "prometheus", "uid": "prometheus"}
# Grafana's page is 24 wide.
WIDTH, HEIGHT, IN_A_ROW = 8, 8, 3
# Panels and dashboards as Grafana 12 writes them.
SCHEMA_VERSION = 41
CURVE = {
    "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
    "tooltip": {"mode": "multi", "sort": "desc"},
}
NUMBER = {
    "colorMode": "none",
    "graphMode": "none",
    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    "textMode": "auto",
}


def panel(number: int, given: dict[str, Any]) -> dict[str, Any]:
    """A panel in Grafana's format, at the place that its number gives."""
    row, column = divmod(number, IN_A_ROW)
    is_stat = given.get("kind") == "stat"
    return {
        "id": number + 1,
        "type": "stat" if is_stat else "timeseries",
        "title": given["title"],
        "description": given["about"],
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": given.get("unit", "short"), "min": 0}, "overrides": []},
        "options": NUMBER if is_stat else CURVE,
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            for index, (legend, query) in enumerate(given["queries"].items())
        ],
    }


def made() -> dict[str, str]:
    """The text of each dashboard, by the name of its file."""
    return {
        f"{name}.json": json.dumps(
            {
                "uid": f"signalflow-{name}",
                "title": "API" if name == "api" else name.capitalize(),
                "tags": ["signalflow"],
                "schemaVersion": SCHEMA_VERSION,
                "editable": False,
                "refresh": "30s",
                "time": {"from": "now-3h", "to": "now"},
                "links": [{"title": "signalflow", "type": "dashboards", "tags": ["signalflow"], "keepTime": True}],
                "panels": [panel(number, given) for number, given in enumerate(panels)],
            },
            indent=1,
        )
        + "\n"
        for name, panels in yaml.safe_load((GRAFANA / "panels.yaml").read_text(encoding="utf-8")).items()
    }


if __name__ == "__main__":
    for name, text in made().items():
        (GRAFANA / "dashboards" / name).write_text(text, encoding="utf-8")
