"""What an error of aiokafka says to the operator."""

import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    LeaderNotAvailableError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
)

from signalflow.errors import Fatal, Retryable
from signalflow.kafka.failures import explained
from signalflow.settings import Settings

SETTINGS = Settings(kafka="broker.example:9092")


@pytest.mark.parametrize(
    "error",
    [ClusterAuthorizationFailedError(), GroupAuthorizationFailedError(), TopicAuthorizationFailedError("posts")],
)
async def test_a_request_that_the_brokers_do_not_allow_is_fatal_and_names_the_user(error: KafkaError) -> None:
    found = await explained(SETTINGS, error)
    assert isinstance(found, Fatal)
    assert "does not allow" in str(found)
    assert "SIGNALFLOW_KAFKA_USER" in str(found)


@pytest.mark.parametrize("error", [RequestTimedOutError(), TimeoutError(), ConnectionResetError("reset by peer")])
async def test_brokers_that_give_no_answer_are_waited_for(error: Exception) -> None:
    found = await explained(SETTINGS, error)
    assert isinstance(found, Retryable)
    assert "does not answer" in str(found)


async def test_an_error_that_a_broker_answers_is_not_called_silence() -> None:
    found = await explained(SETTINGS, LeaderNotAvailableError())
    assert isinstance(found, Retryable)
    assert "answered with an error: [Error 5] LeaderNotAvailableError" in str(found)
