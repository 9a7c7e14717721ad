"""The output of the make targets, for people and for scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.local_stack.operator_tool import backstream
from scripts.local_stack.process import poll
from scripts.local_stack.settings import REPOSITORY
from tests.e2e.deployed import ARRIVAL, Deployed

PROMISED = {
    "api_url",
    "table_name",
    "stream_arn",
    "consumer_function_name",
    "event_source_mapping_uuid",
    "failures_bucket",
    "failures_queue_url",
    "replay_state_machine_arn",
    "rds_connection_param_name",
    "rds_secret_arn",
    "endpoint_url",
}


def test_outputs_prints_one_flat_json_object_and_nothing_else(stack: Deployed):
    printed = stack.make("outputs")
    assert printed.returncode == 0, printed.stderr
    outputs = json.loads(printed.stdout)
    assert PROMISED - set(outputs) == set()
    assert {type(value) for value in outputs.values()} == {str}
    assert outputs["api_url"].startswith(outputs["endpoint_url"])
    assert json.loads(stack.stack.settings.outputs_file.read_text()) == outputs, "the operator's tool reads this file"


def test_mysql_reads_a_pipe_and_prints_plain_rows(stack: Deployed):
    order_id = stack.create(merchant="merchant-pipe", amount="1.50", currency="EUR")
    assert poll(lambda: stack.mysql_order(order_id), ARRIVAL)
    sql = f"SELECT merchant_id, amount, currency FROM tbl_orders WHERE order_id = '{order_id}'; SELECT 1"
    printed = stack.make("mysql", stdin=sql)
    assert (printed.stdout, printed.returncode) == ("merchant-pipe\t1.5000\tEUR\n1\n", 0), printed.stderr


def test_a_failing_statement_fails_the_command(stack: Deployed):
    assert stack.make("mysql", stdin="SELECT * FROM no_such_table").returncode != 0


def test_status_tells_an_outage_and_its_end(stack: Deployed):
    """The verdict and the exit code, from the stack's own logs. A server that is not ours refuses the login instead."""

    def verdict() -> tuple[int, str]:
        code, report = backstream(stack.outputs, "status")
        return code, report["verdict"]["code"]

    assert stack.create()
    assert stack.settles()
    assert poll(lambda: verdict() == (0, "keeping_up"), ARRIVAL), backstream(stack.outputs, "status")
    stack.db_stop()
    try:
        stack.create(merchant="merchant-status")
        told = (4, "stopped" if stack.stack.settings.server else "outage")
        assert poll(lambda: verdict() == told, ARRIVAL), backstream(stack.outputs, "status")
        assert verdict() == told
    finally:
        stack.db_start()
    assert stack.settles()
    assert poll(lambda: verdict() == (0, "keeping_up"), ARRIVAL), backstream(stack.outputs, "status")


@pytest.mark.skipif(bool(os.environ.get("MYSQL_HOST")), reason="make db-stop stops our own server only")
def test_the_smoke_test_passes_against_the_local_stack(stack: Deployed, tmp_path: Path):
    """All that it does on AWS, except deploy and destroy."""
    outputs = tmp_path / "outputs.json"
    outputs.write_text(stack.make("outputs").stdout)
    commands = [
        "--mysql",
        "make -s mysql",
        "--stop-database",
        "make -s db-stop",
        "--start-database",
        "make -s db-start",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "scripts.smoke_aws", "--outputs", str(outputs), *commands],
        cwd=REPOSITORY,
        env=dict(stack.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("MySQL     the same") == 4
    assert "Every step passed." in done.stdout
