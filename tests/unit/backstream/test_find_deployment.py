"""How the tool finds a deployment, and which credentials it uses there."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from backstream import cli, deployment
from backstream.deployment import Deployment, find_deployment
from backstream.errors import UsageError

BUCKET = "failures"
MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:bs-replay"
OUTPUTS = {"replay_state_machine_arn": MACHINE, "failures_bucket": BUCKET}
LOCAL = {**OUTPUTS, "endpoint_url": "http://127.0.0.1:4999"}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "BACKSTREAM_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "real")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ssm() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("ssm", region_name="eu-central-1")


def store(ssm: Any, name: str, value: Any) -> None:
    ssm.put_parameter(Name=name, Value=json.dumps(value), Type="String")


def write(file: Path, value: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))
    return file


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: {"sensitive": False, "value": value}])
def test_outputs_are_read_as_terraform_or_make_print_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrap: Any):
    file = write(tmp_path / "outputs.json", {name: wrap(value) for name, value in OUTPUTS.items()})
    monkeypatch.setattr("sys.stdin", io.StringIO(file.read_text()))
    for given in (str(file), "-"):
        found = find_deployment(outputs=given)
        assert (found.state_machine, found.bucket) == (MACHINE, BUCKET)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"failures_bucket": {"value": "b"}}'])
def test_outputs_that_name_no_deployment_are_wrong_usage(monkeypatch: pytest.MonkeyPatch, text: str):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    with pytest.raises(UsageError, match="standard input"):
        find_deployment(outputs="-")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"replay_state_machine_arn": "bs-replay"}, "replay_state_machine_arn"),
        ({"replay_state_machine_arn": [MACHINE]}, "replay_state_machine_arn"),
        ({"failures_bucket": {"value": {"a": 1}}}, "failures_bucket"),
        ({"endpoint_url": "localhost"}, "endpoint_url"),
        ({"endpoint_url": 4566}, "endpoint_url"),
    ],
)
def test_a_bad_output_is_named(tmp_path: Path, capsys: Any, wrong: dict[str, Any], named: str):
    """A file that was edited by hand is wrong usage, not a traceback."""
    file = write(tmp_path / "outputs.json", {**OUTPUTS, **wrong})
    assert cli.main(["--outputs", str(file), "replay", "list"]) == 2
    assert capsys.readouterr().err == f"backstream: the outputs from {file} have a bad {named}\n"


def test_deeply_nested_outputs_are_wrong_usage(tmp_path: Path, capsys: Any):
    file = tmp_path / "outputs.json"
    file.write_text("[" * 200_000)
    assert cli.main(["--outputs", str(file), "replay", "list"]) == 2
    assert f"cannot read outputs from {file}" in capsys.readouterr().err


def test_a_bad_endpoint_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Any):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:4566")
    assert cli.main(["--env", "dev", "--region", "eu-central-1", "replay", "list"]) == 2
    assert "AWS_ENDPOINT_URL must be" in capsys.readouterr().err


def test_a_closed_standard_input_is_wrong_usage(monkeypatch: pytest.MonkeyPatch, capsys: Any):
    monkeypatch.setattr("sys.stdin", None)
    assert cli.main(["--outputs", "-", "replay", "list"]) == 2
    assert "cannot read outputs from standard input" in capsys.readouterr().err


def test_a_removed_working_directory_is_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert cli.main(["replay", "list"]) == 2
    assert "the working directory cannot be read" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--outputs", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--outputs", "file", "--env", "dev"], "leave out --name, --env, --pipeline and --region"),
        (["--outputs", "file", "--name", "orders"], "leave out --name, --env, --pipeline and --region"),
        (["--outputs", "file", "--region", "eu-central-1"], "leave out --name, --env, --pipeline and --region"),
        (["--name", "orders"], "need --env"),
        (["--pipeline", "customers"], "need --env"),
        (["--region", "eu-central-1"], "need --env"),
        (["--env", "dev"], "--region or set AWS_REGION"),
        (
            [],
            "--env ENV (with --name, --pipeline and --region), or start the local stack with make up",
        ),
    ],
)
def test_the_error_says_what_to_give(capsys: Any, arguments: list[str], message: str):
    assert cli.main(["replay", "list", *arguments]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize(
    ("parameter", "options"),
    [
        ("/backstream-dev/outputs", {"env": "dev"}),
        ("/orders-prod/outputs", {"env": "prod", "name": "orders"}),
        ("/backstream-prod/customers/outputs", {"env": "prod", "pipeline": "customers"}),
    ],
)
def test_name_and_env_find_the_outputs_in_ssm(ssm: Any, parameter: str, options: dict[str, str]):
    store(ssm, parameter, OUTPUTS)
    found = find_deployment(**options, region="eu-central-1")
    assert found.outputs == OUTPUTS


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_is_the_default_region_of_aws(ssm: Any, monkeypatch: pytest.MonkeyPatch, variable: str):
    monkeypatch.setenv(variable, "eu-central-1")
    store(ssm, "/backstream-dev/outputs", OUTPUTS)
    assert find_deployment(env="dev").bucket == BUCKET


def test_a_missing_parameter_is_named(ssm: Any):
    with pytest.raises(UsageError, match="no SSM parameter /backstream-dev/outputs in eu-west-1: check --name"):
        find_deployment(env="dev", region="eu-west-1")


def test_a_parameter_that_aws_refuses_is_not_called_missing(monkeypatch: pytest.MonkeyPatch, capsys: Any):
    """Else an operator without the permission looks for a deployment that is there."""

    class Refusing:
        def get_parameter(self, Name: str) -> Any:  # noqa: N803 - AWS's name
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": Name}}, "GetParameter")

    monkeypatch.setattr(deployment, "client", lambda *_: Refusing())
    assert cli.main(["--env", "dev", "--region", "eu-west-1", "replay", "list"]) == 1
    assert "AccessDeniedException" in capsys.readouterr().err


@pytest.mark.parametrize("below", [".", "docs/deep"])
def test_the_local_stack_is_found_from_any_folder_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str):
    write(tmp_path / ".backstream" / "outputs.json", LOCAL)
    (tmp_path / below).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / below)
    assert find_deployment().outputs == LOCAL


def test_backstream_home_is_the_only_place_where_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / ".backstream" / "outputs.json", LOCAL)
    monkeypatch.setenv("BACKSTREAM_HOME", str(tmp_path / "home"))
    with pytest.raises(UsageError, match="BACKSTREAM_HOME"):
        find_deployment()
    write(tmp_path / "home" / "outputs.json", LOCAL | {"failures_bucket": "other"})
    assert find_deployment().bucket == "other"


def test_a_file_that_was_found_uses_no_real_credentials(tmp_path: Path):
    """Outputs without an endpoint are of AWS: the operator must name them."""
    file = write(tmp_path / ".backstream" / "outputs.json", OUTPUTS)
    with pytest.raises(UsageError, match="no endpoint_url"):
        find_deployment()
    assert find_deployment(outputs=str(file)).outputs == OUTPUTS


def test_on_aws_the_region_comes_from_the_state_machine():
    real = Deployment(OUTPUTS).client("stepfunctions")
    assert (real.meta.region_name, "amazonaws.com" in real.meta.endpoint_url) == ("eu-central-1", True)
    assert "real" in Deployment(OUTPUTS).client("s3").generate_presigned_url("list_buckets")


@pytest.mark.parametrize("by_variable", [True, False])
def test_an_emulator_gets_no_real_credentials(monkeypatch: pytest.MonkeyPatch, by_variable: bool):
    if by_variable:
        monkeypatch.setenv("AWS_ENDPOINT_URL", LOCAL["endpoint_url"])
    emulated = Deployment(OUTPUTS if by_variable else LOCAL).client("s3")
    assert emulated.meta.endpoint_url == LOCAL["endpoint_url"]
    assert "real" not in emulated.generate_presigned_url("list_buckets")


class RecordingEmulator(BaseHTTPRequestHandler):
    """Answers GetParameter with outputs and lists an empty bucket; keeps what it was called with."""

    calls: ClassVar[list[tuple[str, str]]] = []

    def do_POST(self) -> None:
        self._answer(json.dumps({"Parameter": {"Value": json.dumps(OUTPUTS)}}))

    def do_GET(self) -> None:
        self._answer("<ListBucketResult/>")

    def _answer(self, text: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.calls.append((self.headers["Authorization"], body))
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """The test's output is not for its requests."""


def test_stored_outputs_are_read_from_an_emulator_too(monkeypatch: pytest.MonkeyPatch, capsys: Any):
    """With AWS_ENDPOINT_URL, a deployment on an emulator is found by its name and env."""
    with ThreadingHTTPServer(("127.0.0.1", 0), RecordingEmulator) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        assert cli.main(["replay", "list", "--env", "dev", "--region", "eu-central-1"]) == 0
        server.shutdown()
    assert capsys.readouterr().err == "0 quarantined\n"
    assert "/backstream-dev/outputs" in RecordingEmulator.calls[0][1]
    assert len(RecordingEmulator.calls) > 1
    assert all("Credential=test/" in signature for signature, _ in RecordingEmulator.calls)
