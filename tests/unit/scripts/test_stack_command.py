"""A command of the local stack that fails says why in a sentence, without a traceback."""

from __future__ import annotations

import pytest
from botocore.exceptions import BotoCoreError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from scripts.local_stack.__main__ import main
from scripts.local_stack.stack import Stack

URL = "http://127.0.0.1:9/"


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url=URL),
        ConnectionClosedError(endpoint_url=URL),
        ReadTimeoutError(endpoint_url=URL),
    ],
    ids=["refused", "closed", "silent"],
)
def test_an_emulator_that_dies_under_a_command_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BotoCoreError
):
    def up(_: Stack) -> None:
        raise error

    monkeypatch.setattr(Stack, "up", up)

    assert main(["up"]) == 1
    told = capsys.readouterr()
    assert (
        told.err
        == f"make up failed: the emulated AWS has stopped answering: {error}\nStart it again, then run make up\n"
    )
    assert told.out == ""
