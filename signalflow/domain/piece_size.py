"""How much work is done at once: less after a piece that took too long, more again after quick ones."""

# A piece of twice the size takes about twice as long; below a quarter of the limit it has room to take even longer.
_QUICK = 0.25
# More than any batch has.
_EVERYTHING = 1 << 20


class PieceSize:
    """The size of the next piece, from what earlier pieces took. `timeout`: seconds that one piece may take."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self.size = _EVERYTHING

    def took_too_long(self, size: int) -> None:
        """A piece of this size reached the timeout: halve it, down to one."""
        self.size = max(size // 2, 1)

    def took(self, size: int, seconds: float) -> None:
        """A piece is done: double the size if a full piece was quick."""
        if size >= self.size and seconds < self._timeout * _QUICK:
            self.size = min(self.size * 2, _EVERYTHING)
