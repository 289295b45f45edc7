"""Event time advances per partition and never goes back."""

from signalflow.streams.watermarks import Watermarks


def test_a_late_event_does_not_move_event_time_back() -> None:
    watermarks = Watermarks()
    watermarks.advance(0, 50)
    watermarks.advance(0, 20)
    assert watermarks.of(0) == 50
    watermarks.advance(0, 60)
    assert watermarks.of(0) == 60


def test_partitions_do_not_share_their_event_time() -> None:
    watermarks = Watermarks()
    watermarks.advance(0, 50)
    watermarks.advance(1, -20)
    assert (watermarks.of(0), watermarks.of(1), watermarks.of(2)) == (50, -20, None)
