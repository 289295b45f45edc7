"""An evaluation as one HTML page with plots, which needs nothing beside it."""

from collections.abc import Iterable, Sequence
from html import escape

from signalflow.evaluation.judging import TargetFigures
from signalflow.evaluation.report import Evaluation, remarks, rows_of, singles_of, time_of

_SIZE = 300
_MARGIN = 40
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a;
  background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }
td.number { font-variant-numeric: tabular-nums; }
figure { display: inline-block; margin: 0 2rem 1rem 0; }
svg text { font: 12px system-ui, sans-serif; fill: #1a1a1a; }
.axis { fill: none; stroke: #888; }
.chance { stroke: #bbb; stroke-dasharray: 4 4; }
.model { fill: none; stroke: #0b5fa5; stroke-width: 2; }
.single { fill: none; stroke: #b3541e; stroke-width: 1.5; }
.dot { fill: #0b5fa5; }
"""


def page_of(result: Evaluation) -> str:
    """The page. All text is escaped."""
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Which posts take off: {escape(result.file)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
        "<h1>How well the first snapshot of a post tells whether it takes off</h1>",
        *(f"<p>{escape(text)}</p>" for text in remarks(result)),
        *(_section(figures) for figures in result.targets),
        "</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _section(figures: TargetFigures) -> str:
    return "\n".join([
        f"<h2>A post {escape(figures.says)}: {figures.reached} of {figures.posts} posts</h2>",
        _roc(figures),
        _calibration(figures),
        _table(("figure", "value (95 % interval)"), rows_of(figures)),
        f"<p>AUC of single features: {escape(singles_of(figures))}.</p>",
        "<h3>Parts</h3>",
        _table(
            ("since (UTC)", "posts", "reach", "learnt from", "AUC", f"AUC of {figures.single}", "form"),
            [
                (
                    time_of(part.since), str(part.posts), str(part.reached), str(part.learnt_from or ""),
                    f"{part.auc:.3f}", f"{part.auc_of_single:.3f}", part.form,
                )
                for part in figures.parts
            ],
        ),
        "<h3>Calibration</h3>",
        _table(
            ("probability", "posts", "said on average", "reached"),
            [
                (f"{one.lowest:.3f} to {one.highest:.3f}", str(one.posts), f"{one.said:.3f}", f"{one.reached:.3f}")
                for one in figures.calibration
            ],
        ),
    ])  # fmt: skip


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "\n".join(
        "<tr>" + "".join(f'<td class="number">{escape(cell)}</td>' for cell in row) + "</tr>" for row in rows
    )
    return f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _roc(figures: TargetFigures) -> str:
    return _plot(
        f"ROC of the posts of all parts: model (blue), {figures.single} (brown)",
        "false positive rate",
        "true positive rate",
        f'<polyline class="single" points="{_points(figures.roc_of_single)}"/>'
        f'<polyline class="model" points="{_points(figures.roc)}"/>',
    )


def _calibration(figures: TargetFigures) -> str:
    dots = "".join(
        f'<circle class="dot" cx="{_x(one.said):.1f}" cy="{_y(one.reached):.1f}" r="4">'
        f"<title>{one.posts} posts: said {one.said:.3f}, reached {one.reached:.3f}</title></circle>"
        for one in figures.calibration
    )
    return _plot("Calibration: on the line, the target is reached as often as said", "probability", "reached", dots)


def _plot(caption: str, x_label: str, y_label: str, content: str) -> str:
    """A square plot of shares, with the diagonal."""
    whole = _SIZE + 2 * _MARGIN
    middle = _MARGIN + _SIZE / 2
    ticks = "".join(
        f'<text x="{_x(share):.1f}" y="{_MARGIN + _SIZE + 16}" text-anchor="middle">{share:g}</text>'
        f'<text x="{_MARGIN - 6}" y="{_y(share) + 4:.1f}" text-anchor="end">{share:g}</text>'
        for share in (0.0, 0.5, 1.0)
    )
    return (
        f'<figure><svg width="{whole}" height="{whole}" viewBox="0 0 {whole} {whole}" role="img" '
        f'aria-label="{escape(caption)}">'
        f'<rect class="axis" x="{_MARGIN}" y="{_MARGIN}" width="{_SIZE}" height="{_SIZE}"/>'
        f'<line class="chance" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>{ticks}{content}'
        f'<text x="{middle}" y="{whole - 6}" text-anchor="middle">{escape(x_label)}</text>'
        f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">{escape(y_label)}</text>'
        f"</svg><figcaption>{escape(caption)}</figcaption></figure>"
    )


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)


def _x(share: float) -> float:
    return _MARGIN + _SIZE * share


def _y(share: float) -> float:
    return _MARGIN + _SIZE * (1 - share)
