"""What was deployed stays as it was deployed."""

from __future__ import annotations

import json

from tests.e2e.deployed import Deployed

# MiniStack answers some attributes otherwise than they were set; LocalStack, like AWS, does not.
MINISTACK_DRIFT = {"aws_lambda_event_source_mapping"}


def test_a_second_plan_changes_nothing(stack: Deployed):
    allowed = set() if stack.is_localstack else MINISTACK_DRIFT
    assert stack.stack.planned_changes() - allowed == set()


def test_the_schema_step_finds_that_the_tables_fit(stack: Deployed):
    answer = stack.client("lambda").invoke(FunctionName=stack.outputs["schema_function_name"], Payload=b"{}")
    assert json.load(answer["Payload"]) == {"target": "fits", "sidecar": "fits"}


def test_the_functions_account_can_do_no_more_than_they_need(stack: Deployed):
    access = stack.stack.access
    with access.connect(stack.application_account()) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW GRANTS")
        grants = [row[0] for row in cursor.fetchall()]
    assert len(grants) == 2
    assert grants[0].startswith("GRANT USAGE ON *.*")
    assert grants[1].startswith(f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON `{access.database}`.*")
