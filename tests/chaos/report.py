"""The result of a run, as a table and as JSON."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.chaos.faults.base import Injection, Run
from tests.chaos.faults.workers import SIGKILL, SIGTERM
from tests.chaos.verdict import Verdict

# Goals for recovery: when one of three workers is hit and nothing else is wrong, records flow again after these
# seconds.
GOALS = {SIGKILL: 15.0, SIGTERM: 5.0}


@dataclass
class Row:
    """One kind of fault or poison. Differences are None when they cannot be attributed to a kind; see the totals."""

    kind: str
    injections: int
    records: int
    lost: int | None
    duplicated: int | None
    wrong: int | None
    redeliveries: int
    recovery_p50: float | None
    recovery_p99: float | None


@dataclass
class Summary:
    """A run in numbers. `goals`: by kind, the seconds that recovery took after faults that were alone, and the goal.

    `lost_with_a_log`: confirmed observations that only a deleted topic held; the workers reported its end. `breaks`:
    what they reported, with the offsets.
    """

    seed: int
    minutes: float
    records: int
    visible_posts: int
    lost: int
    duplicated: int
    wrong: int
    redeliveries: int
    lost_with_a_log: int
    rows: list[Row]
    goals: dict[str, dict[str, Any]]
    findings: list[str]
    without_effect: list[str]
    no_time_for: list[str]
    ended_by_themselves: list[str]
    tables: dict[str, Any] = field(default_factory=dict)
    breaks: list[str] = field(default_factory=list)
    shown_comments: int = 0
    alerts: int = 0
    injections: list[dict[str, Any]] = field(default_factory=list)
    """All faults in order: seconds from the start, seconds until its cause was gone and until records flowed again."""

    @property
    def nothing_wrong(self) -> bool:
        """Whether no record is lost, duplicated or wrong, and there is no other finding."""
        return not (self.lost or self.duplicated or self.wrong or self.findings)

    @property
    def goals_met(self) -> bool:
        """Whether every recovery that has a goal was in time."""
        return all(goal["met"] for goal in self.goals.values())

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {"nothing_wrong": self.nothing_wrong, "goals_met": self.goals_met}


def summary(seed: int, minutes: float, run: Run, verdict: Verdict, no_time_for: list[str]) -> Summary:
    """The numbers of a run."""
    certain = 0 if verdict.lost + verdict.duplicated + verdict.wrong == 0 else None
    rows = [_fault_row(kind, run, verdict, certain) for kind in sorted({each.kind for each in run.journal})]
    for kind, each in verdict.poison.items():
        rows.append(Row(f"poison: {kind}", each.sent, each.sent, each.lost, each.duplicated, each.wrong, 0, None, None))
    for kind, identities in run.load.disordered.items():
        rows.append(
            Row(f"observations: {kind}", len(identities), len(identities), certain, certain, certain, 0, None, None)
        )
    poison_lost = sum(each.lost for each in verdict.poison.values())
    poison_wrong = sum(each.wrong for each in verdict.poison.values())
    poison_twice = sum(each.duplicated for each in verdict.poison.values())
    return Summary(
        seed=seed,
        minutes=round(minutes, 1),
        records=verdict.report.records,
        visible_posts=verdict.visible,
        shown_comments=verdict.comments.shown,
        alerts=verdict.alerts.met,
        lost=verdict.lost + poison_lost,
        duplicated=verdict.duplicated + poison_twice,
        wrong=verdict.wrong + poison_wrong,
        redeliveries=len(verdict.repeats),
        lost_with_a_log=verdict.lost_with_a_log,
        rows=rows,
        goals=_goals(run),
        findings=run.failures + verdict.findings,
        without_effect=run.without_effect,
        no_time_for=no_time_for,
        ended_by_themselves=run.cluster.ended,
        tables=verdict.report.as_dict(),
        breaks=verdict.report.breaks,
        injections=[_as_row(run, each) for each in sorted(run.journal, key=lambda each: each.at)],
    )


def _as_row(run: Run, injection: Injection) -> dict[str, Any]:
    def after(moment: float | None) -> float | None:
        return None if moment is None else round(moment - injection.at, 2)

    return {
        "kind": injection.kind,
        "detail": injection.detail,
        "alone": injection.alone,
        "at": round(injection.at - run.began, 2),
        "healed_after": after(injection.healed),
        "recovered_after": after(run.recovered_at(injection)),
    }


def _fault_row(kind: str, run: Run, verdict: Verdict, certain: int | None) -> Row:
    injections = [each for each in run.journal if each.kind == kind]
    if all(each.flow == "none" for each in injections):
        return Row(kind, len(injections), len(injections), certain, certain, certain, 0, None, None)
    windows = [(each.at, run.recovered_at(each) or run.probes.load.at[-1]) for each in injections]
    times = sorted(until - begin for begin, until in windows)
    return Row(
        kind,
        len(injections),
        _within(windows, verdict.raw_times),
        certain,
        certain,
        certain,
        # Records that were not committed at the fault are delivered again to the next owner of the partitions.
        _within(windows, verdict.repeats),
        round(quantile(times, 0.5), 1),
        round(quantile(times, 0.99), 1),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The nearest rank of a sorted, non-empty sample."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def _within(windows: list[tuple[float, float]], times: list[float]) -> int:
    return sum(bisect_right(times, until) - bisect_left(times, begin) for begin, until in windows)


def _goals(run: Run) -> dict[str, dict[str, Any]]:
    goals = {}
    for kind, limit in GOALS.items():
        alone = [each for each in run.journal if each.kind == kind and each.alone]
        times = [(run.recovered_at(each) or float("inf")) - each.at for each in alone]
        if times:
            goals[kind] = {"limit": limit, "seconds": [round(t, 1) for t in times], "met": max(times) <= limit}
    return goals


def text(result: Summary) -> str:
    """The table for people."""
    head = ("kind", "injections", "records", "lost", "dupl.", "wrong", "redeliv.", "p50 s", "p99 s")
    cells = [head] + [
        (
            row.kind, str(row.injections), str(row.records), _cell(row.lost), _cell(row.duplicated), _cell(row.wrong),
            str(row.redeliveries), _cell(row.recovery_p50), _cell(row.recovery_p99),
        )
        for row in result.rows
    ]  # fmt: skip
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    lines = [
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in cells
    ]
    lines.append(
        f"\nseed {result.seed}, {result.minutes} min: {result.records} records, {result.visible_posts} visible posts, "
        f"{result.shown_comments} comments, {result.alerts} alerts; "
        f"lost {result.lost}, duplicated {result.duplicated}, wrong {result.wrong}; redeliveries {result.redeliveries}"
    )
    if result.breaks or result.lost_with_a_log:
        lines.append(
            f"{result.lost_with_a_log} observations were lost with a log; {len(result.breaks)} breaks of logs"
            " are reported, with their offsets"
        )
    for kind, goal in result.goals.items():
        met = "met" if goal["met"] else "NOT MET"
        lines.append(f"goal {met}: records flow {goal['limit']:.0f} s after {kind}: {goal['seconds']}")
    for name in ("findings", "without_effect", "ended_by_themselves"):
        lines += [f"{name.replace('_', ' ')}: {each}" for each in getattr(result, name)]
    if result.no_time_for:
        lines.append(f"not a complete run, there was no time for: {', '.join(dict.fromkeys(result.no_time_for))}")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value}"
