"""A cold start imports no more than it needs, and no value gets into logs or traces."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": str(ROOT / "lambdas"),
    "AWS_DEFAULT_REGION": "us-east-1",
    "RDS_CONNECTION_PARAM_NAME": "/orders/rds",
    "STREAM_ARN": "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-31T00:00:00.000",
    "RDS_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds",
    "FAILURES_BUCKET": "failures",
    "POWERTOOLS_SERVICE_NAME": "tests",
    "POWERTOOLS_METRICS_NAMESPACE": "Backstream",
}
# Answers an S3 client by name, so that "none was made" is seen in the process itself.
NO_CLIENT_BUT = """
import boto3
made = []
real = boto3.client
boto3.client = lambda name, **options: made.append(name) or real(name, **options)
"""


def run(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["stream_consumer.handler", "stream_consumer.schema_step"])
def test_a_cold_start_does_not_import_the_x_ray_sdk(module: str):
    assert run(f"import sys, {module}; print('aws_xray_sdk' in sys.modules)") == "False"


def test_a_cold_start_makes_no_s3_client_and_calls_no_aws_api():
    """There are no credentials here and no network: a call would fail."""
    assert run(NO_CLIENT_BUT + "import stream_consumer.handler; print(sorted(made))") == "['secretsmanager', 'ssm']"


TRACED = """
import sys
from common.telemetry import traced
answer = traced(lambda event, context: {"event": event})({"a": 1}, None)
print(answer, "aws_xray_sdk" in sys.modules)
"""


@pytest.mark.parametrize(
    ("trace", "loaded"),
    [
        ("", "False"),
        ("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0", "False"),
        ("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1", "True"),
    ],
    ids=["no trace", "not sampled", "sampled"],
)
def test_only_a_sampled_invocation_loads_the_x_ray_sdk(trace: str, loaded: str):
    lambda_environment = {
        "_X_AMZN_TRACE_ID": trace,
        "LAMBDA_TASK_ROOT": "/var/task",
        "AWS_SAM_LOCAL": "",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
    }

    assert run(TRACED, **lambda_environment) == f"{{'event': {{'a': 1}}}} {loaded}"
