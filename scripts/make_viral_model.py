"""Make signalflow/data/viral.json: the coefficients of the models in signalflow/domain/signals/viral.py.

    python scripts/make_viral_model.py SNAPSHOTS.csv[.gz] OUTPUT.json --origin "..."

The input is a file of hourly snapshots, as signalflow/evaluation/snapshots.py reads it. For each target the form is
chosen by time validation inside of the file, and learnt from all posts whose outcome the file settles. The same input
gives the same bytes.
"""

import argparse
import json
from pathlib import Path

from signalflow.domain.signals.viral import write_models
from signalflow.evaluation.choosing import choose
from signalflow.evaluation.posts import TARGETS, posts_of
from signalflow.evaluation.snapshots import read_snapshots
from signalflow.evaluation.training import train
from signalflow.evaluation.validation import settled_of


def viral_document(snapshots: Path, origin: str) -> str:
    """The text of the file of coefficients."""
    settled = settled_of(posts_of(read_snapshots(snapshots)))
    models = {target.name: train(settled, target, choose(settled, target)) for target in TARGETS}
    return json.dumps(write_models(models, origin=origin), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("snapshots", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--origin", required=True, help="where the snapshots come from, and under which licence")
    arguments = parser.parse_args()
    arguments.output.write_text(viral_document(arguments.snapshots, arguments.origin), encoding="utf-8")


if __name__ == "__main__":
    main()
