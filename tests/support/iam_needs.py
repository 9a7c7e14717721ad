"""The rights that a role needs: those for the calls of its code, and those that AWS uses on its behalf."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.iam_calls import READS_EXECUTION, calls_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.iam_calls import Call
    from tests.support.plans import Variables

Values = Mapping[str, Any] if TYPE_CHECKING else dict

# Stands for what an execution holds: without a key of the customer it needs no right of its own.
EXECUTION_DATA = "data of an execution"
# Operations whose right has another name. All others have the name of the operation.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
RIGHTS: dict[Call, set[str]] = {
    ("dynamodb", "TransactWriteItems"): {"dynamodb:PutItem"},  # of the items that it writes: the API only puts
    ("s3", "CopyObject"): {"s3:GetObject", "s3:PutObject"},
    ("s3", "ListObjectsV2"): {"s3:ListBucket"},
    READS_EXECUTION: {EXECUTION_DATA},
}
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
# https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html
TRACES = {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
INTERFACES = {
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
}
# Lambda reads a stream with the role of the function, and writes failed batches with it:
# https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html
# https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
STREAM = {"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"}
BUCKET_DESTINATION = {"s3:ListBucket", "s3:PutObject"}
QUEUE_DESTINATION = {"sqs:SendMessage"}
# DynamoDB writes an export with the role of the caller:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport_Requesting.html
EXPORT = {"s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectAcl"}
# A Distributed Map: https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
# Logs: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
# Traces: https://docs.aws.amazon.com/step-functions/latest/dg/xray-iam.html
STATE_MACHINE = {
    "lambda:InvokeFunction",
    "states:DescribeExecution",
    "states:RedriveExecution",
    "states:StartExecution",
    "states:StopExecution",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
}
STATE_MACHINE_TRACES = {*TRACES, "xray:GetSamplingRules", "xray:GetSamplingTargets"}
# https://docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html
STATE_MACHINE_KEY = {"kms:Decrypt@states", "kms:GenerateDataKey@states", "kms:GenerateDataKey@logs"}
# What a use of a store needs of the customer's key that encrypts it. Reading decrypts, and writing makes a data key. An
# upload in parts to S3 and a message to SQS need both. DynamoDB and Secrets Manager ask for decryption only:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
KEY_USE = {
    "s3:GetObject": {"kms:Decrypt@s3"},
    "s3:PutObject": {"kms:Decrypt@s3", "kms:GenerateDataKey@s3"},
    "secretsmanager:GetSecretValue": {"kms:Decrypt@secretsmanager"},
    "sqs:ReceiveMessage": {"kms:Decrypt@sqs"},
    "sqs:SendMessage": {"kms:Decrypt@sqs", "kms:GenerateDataKey@sqs"},
    EXECUTION_DATA: {"kms:Decrypt@states"},
} | {
    f"dynamodb:{operation}": {"kms:Decrypt@dynamodb"}
    for operation in ("BatchGetItem", "DeleteItem", "GetItem", "GetRecords", "PutItem", "Query", "Scan", "UpdateItem")
}


def of_function(values: Values, variables: Variables, *, reads_stream: bool) -> set[str]:
    """The rights of a function as it is planned. `reads_stream`: whether an event source mapping calls it."""
    environment = values["environment"][0]["variables"]
    queue = "FAILURES_QUEUE_URL" in environment
    needed = {right for call in calls_of(values["handler"]) for right in _rights(call)}
    if not queue:  # the code makes no client then
        needed = {right for right in needed if not right.startswith("sqs:")} - {
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
        }
    if environment.get("HEARTBEAT") == "false":
        needed.discard("dynamodb:PutItem")
    if environment.get("API_AUTH") == "iam":
        needed.discard("secretsmanager:GetSecretValue")
    if reads_stream:
        sends = variables.get("failure_destination") == "sqs"
        needed |= STREAM | BUCKET_DESTINATION | (QUEUE_DESTINATION if sends else set())
    if "dynamodb:ExportTableToPointInTime" in needed:
        needed |= EXPORT
    needed |= LOGS | (TRACES if values["tracing_config"][0]["mode"] == "Active" else set())
    if values["vpc_config"]:
        needed |= INTERFACES
    keys = _keys(needed, variables, own_secret="API_SECRET_ARN" in environment)
    return (needed - {EXECUTION_DATA}) | keys


def of_state_machine(values: Values) -> set[str]:
    traces = STATE_MACHINE_TRACES if values["tracing_configuration"][0]["enabled"] else set()
    own_key = values["encryption_configuration"][0]["type"] == "CUSTOMER_MANAGED_KMS_KEY"
    return STATE_MACHINE | traces | (STATE_MACHINE_KEY if own_key else set())


def of_schedule() -> set[str]:
    """Of a rule of EventBridge that starts a state machine."""
    return {"states:StartExecution"}


def of_proxy(variables: Variables) -> set[str]:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-iam-setup.html"""
    secret = {"secretsmanager:GetSecretValue"}
    return secret | (KEY_USE["secretsmanager:GetSecretValue"] if "rds_secret_kms_key_arn" in variables else set())


def _rights(call: Call) -> set[str]:
    return RIGHTS.get(call, {":".join(call)})


def _keys(needed: set[str], variables: Variables, *, own_secret: bool) -> set[str]:
    """What the calls need of the keys that the variables name."""
    uses = {use for right, used in KEY_USE.items() if right in needed for use in used}
    secret = "kms_key_arn" if own_secret else "rds_secret_kms_key_arn"
    named = {f"kms:Decrypt@{service}" for service, name in (("secretsmanager", secret),) if name in variables}
    named |= {"kms:Decrypt@ssm"} if "rds_connection_param_kms_key_arn" in variables else set()
    others = {use for use in uses if not use.endswith("@secretsmanager")} if "kms_key_arn" in variables else set()
    reads = {"kms:Decrypt@secretsmanager"} if "secretsmanager:GetSecretValue" in needed else set()
    reads |= {"kms:Decrypt@ssm"} if "ssm:GetParameter" in needed else set()
    return others | (named & reads)
