"""What is rejected counts once, however often a poll shows it."""

import pytest

from signalflow.metrics import REGISTRY
from signalflow.reddit import rejections
from signalflow.reddit.protocol import Rejection
from signalflow.reddit.rejections import Rejections


def counted(reason: str) -> float:
    return REGISTRY.get_sample_value("signalflow_reddit_items_rejected_total", {"reason": reason}) or 0.0


def test_an_item_counts_once_for_each_reason() -> None:
    before = {reason: counted(reason) for reason in ("score", "title", "kind")}
    known = Rejections()
    for _ in range(720):
        known.note([Rejection("abc", "score", "no"), Rejection("abd", "score", "no"), Rejection(77, "kind", "no")])
    known.note([Rejection("abc", "title", "no")])
    assert {reason: counted(reason) - count for reason, count in before.items()} == {"score": 2, "title": 1, "kind": 1}


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejections, "REMEMBERED", 2)
    known, before = Rejections(), counted("url")
    for key in ("a", "b", "b", "c", "c", "a"):
        known.note([Rejection(key, "url", "no")])
    assert counted("url") - before == 4, "the oldest of three was forgotten"
