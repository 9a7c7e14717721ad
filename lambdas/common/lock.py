"""One execution of a kind at a time: the lock is valid only while the execution that holds it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError


@dataclass(frozen=True)
class Lock:
    """One item of a DynamoDB table, which `name` is the key of. `states` is a Step Functions client."""

    dynamodb: Any
    states: Any
    table: str
    name: str = "replay"

    @property
    def _key(self) -> dict[str, Any]:
        return {"p_key": {"S": self.name}}

    def acquire(self, execution_arn: str) -> str | None:
        """Returns None when `execution_arn` has the lock, otherwise the ARN of the running execution that has it."""
        if self._put(execution_arn, "attribute_not_exists(p_key) OR holder = :expected", execution_arn):
            return None
        holder = self._holder()
        if holder is not None and self._is_running(holder):
            return holder
        if self._put(execution_arn, "attribute_not_exists(p_key) OR holder = :expected", holder or execution_arn):
            return None
        return self._holder() or "another execution"

    def release(self, execution_arn: str) -> None:
        """Does nothing when another execution has the lock."""
        try:
            self.dynamodb.delete_item(
                TableName=self.table,
                Key=self._key,
                ConditionExpression="holder = :me",
                ExpressionAttributeValues={":me": {"S": execution_arn}},
            )
        except ClientError as error:
            if not _lost(error):
                raise

    def _put(self, execution_arn: str, condition: str, expected: str) -> bool:
        try:
            self.dynamodb.put_item(
                TableName=self.table,
                Item=self._key | {"holder": {"S": execution_arn}},
                ConditionExpression=condition,
                ExpressionAttributeValues={":expected": {"S": expected}},
            )
        except ClientError as error:
            if _lost(error):
                return False
            raise
        return True

    def _holder(self) -> str | None:
        item = self.dynamodb.get_item(TableName=self.table, Key=self._key, ConsistentRead=True).get("Item")
        return item["holder"]["S"] if item else None

    def _is_running(self, execution_arn: str) -> bool:
        try:
            # Without input and output, which a customer's key may encrypt: the role needs no right to decrypt them.
            status = self.states.describe_execution(executionArn=execution_arn, includedData="METADATA_ONLY")["status"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ExecutionDoesNotExist":
                return False
            # Many executions that start at once are throttled. The holder counts as running.
            if error.response["Error"]["Code"] == "ThrottlingException":
                return True
            raise
        return bool(status == "RUNNING")


def _lost(error: ClientError) -> bool:
    return bool(error.response["Error"]["Code"] == "ConditionalCheckFailedException")
