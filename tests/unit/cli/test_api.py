"""`signalflow api` with an address that it cannot use."""

import pytest

from signalflow.cli.api import OTHER_PLACE, bound_socket
from signalflow.errors import SignalflowError


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1"])
def test_an_address_of_another_machine_is_refused_with_what_to_do(host: str) -> None:
    with pytest.raises(SignalflowError, match=rf"{host}:0 cannot be used .*SIGNALFLOW_API_HOST"):
        bound_socket(host, 0, OTHER_PLACE)


def test_a_port_that_is_taken_is_refused_with_what_to_do() -> None:
    with bound_socket("127.0.0.1", 0, OTHER_PLACE) as taken:
        taken.listen()
        with pytest.raises(SignalflowError, match=r"--port.*SIGNALFLOW_API_PORT"):
            bound_socket("127.0.0.1", taken.getsockname()[1], OTHER_PLACE)
