"""The kinds of errors, by what the caller must do. An adapter translates a library's errors into these, once."""


class SignalflowError(Exception):
    """Base of this project's errors."""


class Retryable(SignalflowError):
    """Nothing is wrong with the input: wait and try again (connection lost, deadlock, 5xx, 429).

    `retry_after` is the wait in seconds that the other side asked for, or None.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Invalid(SignalflowError):
    """This one record or argument is at fault. A record becomes a dead letter. `field`: the wrong field, if known."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Fatal(SignalflowError):
    """Going on would lose or damage data: stop the worker and commit nothing."""
