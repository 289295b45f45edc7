"""How rows become JSON."""

from datetime import UTC, datetime

from web.api.answers import json_bytes


def test_every_time_has_its_zone_also_the_infinity_that_the_driver_gives_without_one() -> None:
    assert json_bytes(datetime(2026, 1, 1, 12, tzinfo=UTC)) == b'"2026-01-01T12:00:00Z"'
    infinity = datetime.max  # noqa: DTZ901, as the driver gives it
    assert json_bytes(infinity) == b'"9999-12-31T23:59:59.999999Z"'
