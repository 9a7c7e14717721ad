"""What AWS calls what Terraform plans. Only names that differ in more than case and underscores are here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Target:
    """A resource of CloudFormation, or an operation as botocore knows it."""

    model: str
    # From the beginning of an attribute to the member that stands for it; "" is the beginning of all.
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Documented:
    schema: Mapping[str, Any]
    source: str


@dataclass(frozen=True)
class AtMost:
    """One number of a resource bounds another; the smaller counts as 0 where it is not planned."""

    smaller: str
    larger: str
    source: str


TAGS = {"tags_all": "Tags"}
EVENT_TARGET = {
    "": "Targets",
    "event_bus_name": "EventBusName",
    "input_transformer.input_paths": "Targets.InputTransformer.InputPathsMap",
}
GROUP_RULE = {"cidr_ipv4": "CidrIp", "security_group_id": "GroupId"}
INDEX = "GlobalSecondaryIndexes"
POLICY = {"name": "PolicyName", "policy": "PolicyDocument", "role": "RoleName"}
PROXY = {**TAGS, "name": "DBProxyName"}
PROXIED = {"db_cluster_identifier": "DBClusterIdentifiers", "db_instance_identifier": "DBInstanceIdentifiers"}
ROLE = {**TAGS, "assume_role_policy": "AssumeRolePolicyDocument", "name": "RoleName"}
S3_RULE = "LifecycleConfiguration.Rules"
TABLE = {
    **TAGS,
    "attribute": "AttributeDefinitions",
    "attribute.name": "AttributeDefinitions.AttributeName",
    "attribute.type": "AttributeDefinitions.AttributeType",
    "global_secondary_index": INDEX,
    "global_secondary_index.hash_key": f"{INDEX}.KeySchema.AttributeName",
    "global_secondary_index.name": f"{INDEX}.IndexName",
    "global_secondary_index.projection_type": f"{INDEX}.Projection.ProjectionType",
    "global_secondary_index.range_key": f"{INDEX}.KeySchema.AttributeName",
    "hash_key": "KeySchema.AttributeName",
    "name": "TableName",
    "range_key": "KeySchema.AttributeName",
    "stream_view_type": "StreamSpecification.StreamViewType",
    "ttl": "TimeToLiveSpecification",
}

TRANSLATIONS: dict[str, tuple[Target, ...]] = {
    "aws_api_gateway_account": (Target("AWS::ApiGateway::Account"),),
    "aws_api_gateway_authorizer": (
        Target("AWS::ApiGateway::Authorizer"),
        Target("apigateway.CreateAuthorizer"),
    ),
    "aws_api_gateway_deployment": (Target("AWS::ApiGateway::Deployment"), Target("apigateway.CreateDeployment")),
    "aws_api_gateway_gateway_response": (
        Target("AWS::ApiGateway::GatewayResponse"),
        Target("apigateway.PutGatewayResponse"),
    ),
    "aws_api_gateway_integration": (
        Target(
            "AWS::ApiGateway::Method",
            {"": "Integration", "http_method": "HttpMethod", "timeout_milliseconds": "Integration.TimeoutInMillis"},
        ),
        Target("apigateway.PutIntegration", {"timeout_milliseconds": "timeoutInMillis"}),
    ),
    "aws_api_gateway_method": (
        Target("AWS::ApiGateway::Method", {"authorization": "AuthorizationType"}),
        Target("apigateway.PutMethod", {"authorization": "authorizationType"}),
    ),
    "aws_api_gateway_method_settings": (
        Target(
            "AWS::ApiGateway::Stage",
            {"settings": "MethodSettings"},
        ),
    ),
    "aws_api_gateway_resource": (Target("AWS::ApiGateway::Resource"), Target("apigateway.CreateResource")),
    "aws_api_gateway_rest_api": (Target("AWS::ApiGateway::RestApi", TAGS), Target("apigateway.CreateRestApi", TAGS)),
    "aws_api_gateway_stage": (
        Target(
            "AWS::ApiGateway::Stage",
            {**TAGS, "access_log_settings": "AccessLogSetting", "xray_tracing_enabled": "TracingEnabled"},
        ),
        Target("apigateway.CreateStage", {**TAGS, "xray_tracing_enabled": "tracingEnabled"}),
    ),
    "aws_cloudwatch_event_rule": (Target("AWS::Events::Rule"), Target("events.PutRule", TAGS)),
    "aws_cloudwatch_event_target": (
        Target("AWS::Events::Rule", {**EVENT_TARGET, "rule": "Name"}),
        Target("events.PutTargets", {**EVENT_TARGET, "rule": "Rule"}),
    ),
    "aws_cloudwatch_log_group": (
        Target("AWS::Logs::LogGroup", {**TAGS, "name": "LogGroupName"}),
        Target("logs.CreateLogGroup", {**TAGS, "name": "logGroupName"}),
        Target("logs.PutRetentionPolicy"),
    ),
    "aws_db_proxy": (Target("AWS::RDS::DBProxy", PROXY), Target("rds.CreateDBProxy", PROXY)),
    "aws_db_proxy_default_target_group": (
        Target("AWS::RDS::DBProxyTargetGroup", {"connection_pool_config": "ConnectionPoolConfigurationInfo"}),
        Target("rds.ModifyDBProxyTargetGroup"),
    ),
    "aws_db_proxy_target": (
        Target("AWS::RDS::DBProxyTargetGroup", PROXIED),
        Target("rds.RegisterDBProxyTargets", PROXIED),
    ),
    "aws_dynamodb_table": (
        Target(
            "AWS::DynamoDB::Table",
            TABLE | {"point_in_time_recovery.enabled": "PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled"},
        ),
        Target("dynamodb.CreateTable", TABLE | {"stream_enabled": "StreamSpecification.StreamEnabled"}),
        Target("dynamodb.UpdateTimeToLive", {"ttl": "TimeToLiveSpecification"}),
    ),
    "aws_iam_role": (Target("AWS::IAM::Role", ROLE), Target("iam.CreateRole", ROLE)),
    "aws_iam_role_policy": (Target("AWS::IAM::RolePolicy", POLICY), Target("iam.PutRolePolicy", POLICY)),
    "aws_iam_role_policy_attachment": (Target("iam.AttachRolePolicy", {"role": "RoleName"}),),
    "aws_lambda_alias": (Target("AWS::Lambda::Alias"), Target("lambda.CreateAlias")),
    "aws_lambda_event_source_mapping": (
        Target("AWS::Lambda::EventSourceMapping", TAGS),
        Target("lambda.CreateEventSourceMapping", TAGS),
    ),
    "aws_lambda_function": (
        Target("AWS::Lambda::Function", TAGS),
        Target("lambda.CreateFunction", TAGS),
        Target("lambda.PutFunctionConcurrency"),
    ),
    "aws_lambda_invocation": (Target("lambda.Invoke", {"input": "Payload"}),),
    "aws_lambda_permission": (Target("AWS::Lambda::Permission"), Target("lambda.AddPermission")),
    "aws_s3_bucket": (Target("AWS::S3::Bucket", {**TAGS, "bucket": "BucketName"}), Target("s3.CreateBucket")),
    "aws_s3_bucket_lifecycle_configuration": (
        Target(
            "AWS::S3::Bucket",
            {
                "rule": S3_RULE,
                "rule.expiration.days": f"{S3_RULE}.ExpirationInDays",
                "rule.expiration.expired_object_delete_marker": f"{S3_RULE}.ExpiredObjectDeleteMarker",
                "rule.filter.prefix": f"{S3_RULE}.Prefix",
                "transition_default_minimum_object_size": "LifecycleConfiguration.TransitionDefaultMinimumObjectSize",
            },
        ),
        Target("s3.PutBucketLifecycleConfiguration", {"rule": S3_RULE}),
    ),
    "aws_s3_bucket_notification": (
        Target(
            "AWS::S3::Bucket",
            {"eventbridge": "NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled"},
        ),
    ),
    "aws_s3_bucket_policy": (Target("AWS::S3::BucketPolicy", {"policy": "PolicyDocument"}),),
    "aws_s3_bucket_public_access_block": (Target("AWS::S3::Bucket", {"": "PublicAccessBlockConfiguration"}),),
    "aws_s3_bucket_server_side_encryption_configuration": (
        Target(
            "AWS::S3::Bucket",
            {
                "rule.apply_server_side_encryption_by_default": "BucketEncryption.ServerSideEncryptionConfiguration"
                ".ServerSideEncryptionByDefault",
            },
        ),
    ),
    "aws_s3_bucket_versioning": (Target("AWS::S3::Bucket"),),
    "aws_secretsmanager_secret": (
        Target("AWS::SecretsManager::Secret", TAGS),
        Target("secretsmanager.CreateSecret", TAGS),
        Target("secretsmanager.DeleteSecret"),
    ),
    "aws_secretsmanager_secret_version": (Target("secretsmanager.PutSecretValue"),),
    "aws_security_group": (
        Target("AWS::EC2::SecurityGroup", {**TAGS, "description": "GroupDescription", "name": "GroupName"}),
        Target("ec2.CreateSecurityGroup", {"name": "GroupName"}),
    ),
    "aws_sfn_state_machine": (
        Target(
            "AWS::StepFunctions::StateMachine",
            {**TAGS, "definition": "DefinitionString", "name": "StateMachineName", "type": "StateMachineType"},
        ),
        Target("stepfunctions.CreateStateMachine", TAGS),
    ),
    "aws_sqs_queue": (
        Target(
            "AWS::SQS::Queue",
            {
                **TAGS,
                "max_message_size": "MaximumMessageSize",
                "message_retention_seconds": "MessageRetentionPeriod",
                "name": "QueueName",
                "receive_wait_time_seconds": "ReceiveMessageWaitTimeSeconds",
                "visibility_timeout_seconds": "VisibilityTimeout",
            },
        ),
        Target("sqs.CreateQueue", {"name": "QueueName"}),
    ),
    "aws_ssm_parameter": (
        Target("AWS::SSM::Parameter", {**TAGS, "insecure_value": "Value"}),
        Target("ssm.PutParameter", {**TAGS, "insecure_value": "Value"}),
    ),
    "aws_vpc_endpoint": (
        Target("AWS::EC2::VPCEndpoint", TAGS),
        Target("ec2.CreateVpcEndpoint"),
    ),
    "aws_vpc_security_group_egress_rule": (
        Target(
            "AWS::EC2::SecurityGroupEgress",
            {**GROUP_RULE, "referenced_security_group_id": "DestinationSecurityGroupId"},
        ),
        Target("ec2.CreateTags", TAGS),
    ),
    "aws_vpc_security_group_ingress_rule": (
        Target(
            "AWS::EC2::SecurityGroupIngress",
            {**GROUP_RULE, "referenced_security_group_id": "SourceSecurityGroupId"},
        ),
        Target("ec2.CreateTags", TAGS),
    ),
}

# Attributes that only the provider knows, or whose value AWS is not given as it is.
UNTRANSLATED = {
    ("aws_api_gateway_method_settings", "method_path"),  # of two members: ResourcePath/HttpMethod
    ("aws_cloudwatch_event_rule", "force_destroy"),
    ("aws_cloudwatch_event_target", "force_destroy"),
    ("aws_cloudwatch_log_group", "skip_destroy"),
    ("aws_iam_role", "force_detach_policies"),
    ("aws_lambda_function", "filename"),
    ("aws_lambda_function", "skip_destroy"),
    ("aws_lambda_function", "source_code_hash"),
    ("aws_lambda_invocation", "lifecycle_scope"),
    ("aws_lambda_invocation", "terraform_key"),
    ("aws_lambda_invocation", "triggers"),
    ("aws_s3_bucket", "force_destroy"),
    ("aws_security_group", "revoke_rules_on_delete"),
    ("aws_security_group", "timeouts"),
}

# What the provider plans for an attribute that is not set, and does not send.
UNSET = {
    ("aws_lambda_function", "reserved_concurrent_executions"): -1,
    ("aws_sqs_queue", "kms_data_key_reuse_period_seconds"): 0,
}

API = "https://docs.aws.amazon.com"
EC2_TEXT = Documented(
    {"maxLength": 255, "pattern": r"^[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]*\Z"},
    f"{API}/AWSEC2/latest/APIReference/API_IpRange.html",
)
# Constraints that are in no model, only in the documentation's words.
DOCUMENTED = {
    ("aws_db_proxy", "name"): Documented(
        {"maxLength": 63, "pattern": r"^(?!.*--)[a-zA-Z][a-zA-Z0-9-]*(?<!-)\Z"},
        f"{API}/AmazonRDS/latest/APIReference/API_CreateDBProxy.html",
    ),
    ("aws_db_proxy_default_target_group", "connection_pool_config.connection_borrow_timeout"): Documented(
        {"minimum": 0, "maximum": 300},
        f"{API}/AmazonRDS/latest/APIReference/API_ConnectionPoolConfiguration.html",
    ),
    ("aws_db_proxy_default_target_group", "connection_pool_config.max_connections_percent"): Documented(
        {"minimum": 1, "maximum": 100},
        f"{API}/AmazonRDS/latest/APIReference/API_ConnectionPoolConfiguration.html",
    ),
    ("aws_dynamodb_table", "name"): Documented(
        {"minLength": 3, "maxLength": 255, "pattern": r"^[a-zA-Z0-9_.-]*\Z"},
        f"{API}/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html",
    ),
    ("aws_lambda_function", "environment.variables"): Documented(
        {"maxJsonBytes": 4096},  # Lambda's refusal says "string measured", and shows the variables as JSON
        f"{API}/lambda/latest/dg/gettingstarted-limits.html",
    ),
    ("aws_s3_bucket", "bucket"): Documented(
        {
            "minLength": 3,
            "maxLength": 63,
            "pattern": r"^(?!xn--|sthree-|amzn-s3-demo-)(?!.*(-s3alias|--ol-s3|--x-s3|--table-s3)\Z)",
        },
        f"{API}/AmazonS3/latest/userguide/bucketnamingrules.html",
    ),
    ("aws_security_group", "name"): Documented(
        {"maxLength": 255, "pattern": r"^(?!(?i:sg-))[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]+\Z"},
        f"{API}/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html",
    ),
    ("aws_ssm_parameter", "name"): Documented(
        # A name in a hierarchy begins with a slash, and has at most fifteen levels.
        {"pattern": r"^(?!/?(?i:aws|ssm))([a-zA-Z0-9_.-]+|(/[a-zA-Z0-9_.-]+){1,15})\Z"},
        f"{API}/systems-manager/latest/APIReference/API_PutParameter.html",
    ),
    ("aws_ssm_parameter", "insecure_value"): Documented(
        {"maxLength": 4096},  # of the standard tier
        f"{API}/systems-manager/latest/APIReference/API_PutParameter.html",
    ),
    ("aws_vpc_security_group_egress_rule", "description"): EC2_TEXT,
    ("aws_vpc_security_group_ingress_rule", "description"): EC2_TEXT,
}

RELATED = {
    "aws_db_proxy_default_target_group": AtMost(
        "connection_pool_config.max_idle_connections_percent",
        "connection_pool_config.max_connections_percent",
        f"{API}/AmazonRDS/latest/APIReference/API_ConnectionPoolConfiguration.html",
    ),
}
