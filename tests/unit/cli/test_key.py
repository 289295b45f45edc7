"""`signalflow key`."""

from typing import get_args

from signalflow.cli.key import Scope
from signalflow.domain.words import KeyScope


def test_the_scopes_that_the_command_takes_are_those_of_a_key() -> None:
    assert {scope.value for scope in Scope} == set(get_args(KeyScope))
