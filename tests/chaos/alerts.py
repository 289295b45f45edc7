"""Alerts of a run: what a rule must have met, what the tables have of it, and what its receiver got."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from signalflow.settings import Settings
from signalflow.storage.pool import create_pool
from tests.chaos.waiting import runs_out
from tests.integration.alert_rows import make_rule, make_target
from tests.integration.workers import fetch_all
from tests.unit.alerts.servers import Server, answering, serving

# Some posts of the load (load.py) have this word, and none of the simulator has. Their scores grow, so that they meet
# the rule while faults happen.
WORD = "brontosaurus"
SCORE = 150
# Of a message that a worker had claimed that was killed, others let go after a minute.
SETTLE_SECONDS = 120.0
_MUST = f"SELECT id FROM posts WHERE title LIKE '%{WORD}%' AND current_score > {SCORE}"
_TOLD = """
SELECT m.subject, m.id, d.state FROM alert_matches AS m LEFT JOIN alert_deliveries AS d ON d.match_id = m.id
"""
_WAITING = "SELECT count(*) FROM alert_deliveries WHERE state = 'waiting'"


@dataclass
class Alerts:
    """`met`: how many posts had to meet the rule. `lost`: those that it did not meet, or that were not delivered.

    `extra`: posts that meet it twice, or that it must not have met.
    """

    met: int = 0
    lost: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)


@asynccontextmanager
async def receiving(settings: Settings) -> AsyncIterator[Server]:
    """A receiver, and a rule whose alerts go there."""
    async with (
        serving(answering("HTTP/1.1 204 No Content\n\n")) as receiver,
        await create_pool(settings, application_name="chaos") as pool,
    ):
        await make_rule(pool, f"{WORD} score>{SCORE}", await make_target(pool, f"http://127.0.0.1:{receiver.port}"))
        yield receiver


async def settle(settings: Settings, receiver: Server) -> Alerts:
    """Wait until nothing waits for the receiver any more, then compare."""

    async def waiting() -> int:
        return int((await fetch_all(settings, _WAITING))[0][0])

    await runs_out(waiting, SETTLE_SECONDS)
    must = {row["id"] for row in await fetch_all(settings, _MUST)}
    told = [(row["subject"], f"alert_{row['id'].hex}", row["state"]) for row in await fetch_all(settings, _TOLD)]
    return compared(must, told, {request.headers["webhook-id"] for request in receiver.requests})


def compared(must: set[str], told: list[tuple[str, str, str | None]], received: set[str]) -> Alerts:
    """`told`: by post, the id of the message and its state. `received`: the ids that arrived."""
    subjects = [subject for subject, _, _ in told]
    lost = [f"{post} met no rule" for post in sorted(must.difference(subjects))]
    lost += [f"{post} is {state}" for post, _, state in told if state != "done"]
    lost += [
        f"{post} is done and did not arrive" for post, id_, state in told if state == "done" and id_ not in received
    ]
    extra = [f"{post} met the rule without cause" for post in sorted(set(subjects) - must)]
    extra += [f"{post} met the rule twice" for post in sorted(set(subjects)) if subjects.count(post) > 1]
    return Alerts(len(must), lost, extra)
