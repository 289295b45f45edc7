"""The orders of the post list. All are descending and end with the id, so no two posts are equal."""

from dataclasses import dataclass
from typing import Literal

OrderName = Literal[
    "newest", "score", "comments", "score_velocity", "trend_velocity", "trending_score", "momentum", "engagement"
]

# SQL expressions of the post `p`; ages are computed for the instant $2.
ENGAGEMENT = "(p.current_score + 2::bigint * p.current_comments)"
AGE_MINUTES = "GREATEST(EXTRACT(EPOCH FROM $2::timestamptz - p.created_utc)::float8 / 60, 0)"
MOMENTUM = f"({ENGAGEMENT} / ({AGE_MINUTES} + 1))"


@dataclass(frozen=True, slots=True)
class Order:
    """An order: posts are sorted by the SQL expressions of `key`, each with its type, and then by id.

    `is_fixed`: no change of a post moves it. `is_windowed`: no index has this order, so only recent posts are sorted.
    """

    key: tuple[tuple[str, str], ...]
    is_fixed: bool = False
    is_windowed: bool = False


_CREATED = ("p.created_utc", "timestamptz")
# What is unknown comes last. The indexes have the same expressions (migrations, 0004, 0012, 0013 and 0016).
ORDERS: dict[OrderName, Order] = {
    "newest": Order((_CREATED,), is_fixed=True),
    "score": Order((("COALESCE(p.current_score, -2147483648)", "integer"),)),
    "comments": Order((("COALESCE(p.current_comments, -1)", "integer"),)),
    "score_velocity": Order((("COALESCE(p.score_velocity, '-infinity'::float8)", "float8"),)),
    "trend_velocity": Order((("COALESCE(p.trend_velocity, '-infinity'::float8)", "float8"),)),
    "trending_score": Order((("p.trending_score", "float8"), _CREATED)),
    "momentum": Order(((f"COALESCE({MOMENTUM}, '-infinity'::float8)", "float8"),), is_windowed=True),
    "engagement": Order(((f"COALESCE({ENGAGEMENT}, -9223372036854775807)", "bigint"),), is_windowed=True),
}
