"""One test alert, sent now, once, to where alerts of rules may go."""

from datetime import datetime
from uuid import uuid4

from signalflow.alert_settings import AlertSettings
from signalflow.alerts.bodies import body_of
from signalflow.alerts.delivery import WebMessage, WebTarget, deliver
from signalflow.alerts.digest import digest_mail
from signalflow.alerts.mail import MailServer, send_mail
from signalflow.alerts.messages import Alert
from signalflow.alerts.outcome import Result
from signalflow.alerts.shapes import Shape
from signalflow.errors import Invalid


async def send_trial(target: WebTarget, shape: Shape, settings: AlertSettings, now: datetime) -> Result:
    """Send a test alert to a web target. A failure is a result too."""
    alert = _trial_alert(now)
    return await deliver(WebMessage(alert.id, body_of(alert, shape)), target, now, allowed=settings.allowed_networks)


async def send_trial_mail(recipient: str, settings: AlertSettings, now: datetime) -> Result:
    """Send a test alert by e-mail. Raises Invalid without a mail server, and for an address that cannot be one."""
    server = MailServer.of(settings)
    if server is None:
        raise Invalid("there is no mail server: set SIGNALFLOW_SMTP_HOST and SIGNALFLOW_SMTP_FROM")
    alert = _trial_alert(now)
    return await send_mail(digest_mail(alert.id, [alert], sender=server.sender, recipient=recipient, now=now), server)


def _trial_alert(now: datetime) -> Alert:
    return Alert(
        id=f"test_{uuid4().hex}",
        rule="Test",
        kind="signal",
        subject="test",
        subreddit=None,
        title="A test alert of signalflow",
        sentence="Alerts arrive here. Nothing happened on Reddit.",
        url=None,
        numbers={},
        created_at=None,
        matched_at=now,
    )
