"""Errors say what to do with them. Where a library raises, the adapter that calls it translates, once."""


class SignalflowError(Exception):
    """Base of all errors of ours."""


class Retryable(SignalflowError):
    """Nothing is wrong with the input: wait and try again (connection lost, deadlock, 5xx, 429).

    `retry_after` is the wait in seconds that the other side asked for, or None.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Invalid(SignalflowError):
    """This record, or this argument, is at fault: to the dead-letter topic with it, alone. Names the field where it can."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Fatal(SignalflowError):
    """Going on would lose or damage data: stop the worker, commit nothing."""
