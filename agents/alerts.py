"""Sends the alerts that wait: the leader looks each second for targets that have some, and works on many at once."""

import asyncio
import random
from collections.abc import Callable
from uuid import UUID

import msgspec
import structlog

from signalflow.alerts.bodies import body_of
from signalflow.alerts.delivery import WebMessage, WebTarget, deliver
from signalflow.alerts.digest import digest_mail
from signalflow.alerts.mail import MailServer, send_mail
from signalflow.alerts.messages import Alert
from signalflow.alerts.outcome import Result, Verdict
from signalflow.alerts.schedule import pace_of
from signalflow.alerts.shapes import Shape
from signalflow.clock import steady
from signalflow.domain.backoff import WHILE_AWAY
from signalflow.domain.pace import Pace
from signalflow.errors import Invalid, Retryable
from signalflow.fail_points import reach
from signalflow.metrics import ALERT_DELIVERIES, ALERT_TARGETS_DISABLED
from signalflow.settings import Settings
from signalflow.storage.alert_deliveries import Claim, Recorded, claim, due_targets, record
from signalflow.storage.pool import Pool
from signalflow.streams.app import Application
from signalflow.streams.timers import guarded

log = structlog.get_logger()

EVERY_SECONDS = 1.0
# A target that does not answer takes ten seconds a try, and its place until then.
MOST_TARGETS = 100
# At a stop, messages that are on their way are recorded within this time, or sent again by the next leader.
STOP_SECONDS = 5.0

_alert = msgspec.json.Decoder(Alert)


class AlertSender:
    """Sends what waits. `leads`: whether this worker is the leader; another one sends nothing more."""

    def __init__(self, pool: Pool, settings: Settings, leads: Callable[[], bool]) -> None:
        self._pool, self._leads = pool, leads
        self._allowed, self._mail = settings.allowed_networks, MailServer.of(settings)
        self._at_work: dict[UUID, asyncio.Task[None]] = {}
        # Kept while nothing waits: the next message may come a moment after the last one.
        self._paces: dict[UUID, Pace] = {}
        # The pool is small, and its other users store what the rules meet.
        self._asking = asyncio.Semaphore(1)
        self._stopping = False

    async def look(self) -> None:
        """Begin with targets that have alerts due, and wait for none of them."""
        room = MOST_TARGETS - len(self._at_work)
        if self._stopping or not room:
            return
        async with self._asking:
            found = await due_targets(self._pool, list(self._at_work), room)
        for target in found:
            self._at_work[target] = asyncio.create_task(self._work_for(target))

    async def stop(self) -> None:
        """End what is on its way, within STOP_SECONDS."""
        self._stopping = True
        if tasks := set(self._at_work.values()):
            _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _work_for(self, target: UUID) -> None:
        try:
            await guarded("alerts")(lambda: self._send_to(target))()
        finally:
            del self._at_work[target]

    async def _send_to(self, target: UUID) -> None:
        """Send until nothing is due for the target, or it does not take a message."""
        state = "done"
        while state != "waiting" and self._leads() and not self._stopping:
            if pace := self._paces.get(target):
                await asyncio.sleep(pace.wait(1, steady()))
            async with self._asking:
                sent = await claim(self._pool, target)
            if sent is None:
                return
            if target not in self._paces and sent.shape != "mail":
                self._paces[target] = pace_of(Shape(sent.shape))
                self._paces[target].wait(1, steady())
            reach("alerts.before_send")
            result = await self._try(sent)
            reach("alerts.after_send")
            recorded = await self._record(sent, result)
            reach("alerts.after_record")
            state = recorded.state

    async def _try(self, sent: Claim) -> Result:
        try:
            alerts = [_alert.decode(each.alert) for each in sent.waiting]
            if sent.shape == "mail":
                return await self._send_mail(sent, alerts)
            target = WebTarget.of(sent.address, sent.secrets)
            message = WebMessage(alerts[0].id, body_of(alerts[0], Shape(sent.shape)))
            return await deliver(message, target, sent.now, allowed=self._allowed)
        except (Invalid, msgspec.MsgspecError) as error:
            return Result(Verdict.GIVE_UP, 0.0, reason=str(error))

    async def _send_mail(self, sent: Claim, alerts: list[Alert]) -> Result:
        if self._mail is None:
            return Result(Verdict.LATER, 0.0, reason="there is no mail server: set SIGNALFLOW_SMTP_HOST")
        id_ = f"digest_{min(sent.ids).hex}"
        mail = digest_mail(id_, alerts, sender=self._mail.sender, recipient=sent.address, now=sent.now)
        return await send_mail(mail, self._mail)

    async def _record(self, sent: Claim, result: Result) -> Recorded:
        """Write what became of a message. While the database is away this is tried again: it was sent."""
        failures = 0
        while True:
            try:
                async with self._asking:
                    recorded = await record(self._pool, sent, result, random.random())
            except Retryable as error:
                failures += 1
                log.warning("alert_not_recorded", target=str(sent.target), error=str(error))
                await asyncio.sleep(WHILE_AWAY.after(failures))
                continue
            outcome = "later" if recorded.state == "waiting" else recorded.state
            ALERT_DELIVERIES.labels(outcome=outcome).inc(len(sent.waiting))
            if recorded.disabled:
                ALERT_TARGETS_DISABLED.inc()
                log.warning("alert_target_disabled", target=str(sent.target), reason=result.reason)
            return recorded


def register(app: Application, sender_of: Callable[[], AlertSender]) -> None:
    """Add the timer to the app. `sender_of()` gives the sender once the worker runs."""

    @app.timer(interval=EVERY_SECONDS, on_leader=True, name="alerts")
    @guarded("alerts")
    async def alerts() -> None:
        await sender_of().look()
