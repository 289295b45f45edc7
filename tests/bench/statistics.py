"""Quantiles of measured values."""

from collections.abc import Sequence


def quantiles(values: Sequence[float], unit: str) -> dict[str, float]:
    """Median, 99th percentile (nearest rank) and maximum."""
    ordered = sorted(values)

    def at(share: float) -> float:
        return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 2)

    return {f"p50_{unit}": at(0.5), f"p99_{unit}": at(0.99), f"max_{unit}": at(1.0)}
