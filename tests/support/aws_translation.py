"""AWS's names for what Terraform plans, where they differ in more than case and underscores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Translation:
    """A resource of CloudFormation, or an operation as botocore knows it."""

    model: str
    # From the first parts of an attribute to the member for it; "" is the beginning of every attribute.
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Documented:
    schema: Mapping[str, Any]
    source: str


@dataclass(frozen=True)
class AtMost:
    """One number of a resource must not exceed another. The smaller one counts as 0 when it is not planned."""

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
METRIC_ALARM = {
    **TAGS,
    # A map in Terraform, and a list of names and values at AWS: see DOCUMENTED.
    "dimensions": "NotComparable",
    "evaluate_low_sample_count_percentiles": "EvaluateLowSampleCountPercentile",
    "metric_query": "Metrics",
    "metric_query.metric": "Metrics.MetricStat",
    "metric_query.metric.dimensions": "NotComparable",
    "metric_query.metric.metric_name": "Metrics.MetricStat.Metric.MetricName",
    "metric_query.metric.namespace": "Metrics.MetricStat.Metric.Namespace",
    "ok_actions": "OKActions",
}
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
    "server_side_encryption.enabled": "SSESpecification.SSEEnabled",
    "server_side_encryption.kms_key_arn": "SSESpecification.KMSMasterKeyId",
    "stream_view_type": "StreamSpecification.StreamViewType",
    "ttl": "TimeToLiveSpecification",
}

TRANSLATIONS: dict[str, tuple[Translation, ...]] = {
    "aws_api_gateway_account": (Translation("AWS::ApiGateway::Account"),),
    "aws_api_gateway_authorizer": (
        Translation("AWS::ApiGateway::Authorizer"),
        Translation("apigateway.CreateAuthorizer"),
    ),
    "aws_api_gateway_deployment": (
        Translation("AWS::ApiGateway::Deployment"),
        Translation("apigateway.CreateDeployment"),
    ),
    "aws_api_gateway_gateway_response": (
        Translation("AWS::ApiGateway::GatewayResponse"),
        Translation("apigateway.PutGatewayResponse"),
    ),
    "aws_api_gateway_integration": (
        Translation(
            "AWS::ApiGateway::Method",
            {"": "Integration", "http_method": "HttpMethod", "timeout_milliseconds": "Integration.TimeoutInMillis"},
        ),
        Translation("apigateway.PutIntegration", {"timeout_milliseconds": "timeoutInMillis"}),
    ),
    "aws_api_gateway_method": (
        Translation("AWS::ApiGateway::Method", {"authorization": "AuthorizationType"}),
        Translation("apigateway.PutMethod", {"authorization": "authorizationType"}),
    ),
    "aws_api_gateway_method_settings": (
        Translation(
            "AWS::ApiGateway::Stage",
            {"settings": "MethodSettings"},
        ),
    ),
    "aws_api_gateway_resource": (Translation("AWS::ApiGateway::Resource"), Translation("apigateway.CreateResource")),
    "aws_api_gateway_rest_api": (
        Translation("AWS::ApiGateway::RestApi", TAGS),
        Translation("apigateway.CreateRestApi", TAGS),
    ),
    "aws_api_gateway_stage": (
        Translation(
            "AWS::ApiGateway::Stage",
            {**TAGS, "access_log_settings": "AccessLogSetting", "xray_tracing_enabled": "TracingEnabled"},
        ),
        Translation("apigateway.CreateStage", {**TAGS, "xray_tracing_enabled": "tracingEnabled"}),
    ),
    "aws_cloudwatch_composite_alarm": (
        Translation("AWS::CloudWatch::CompositeAlarm", {**TAGS, "ok_actions": "OKActions"}),
        Translation("cloudwatch.PutCompositeAlarm", {**TAGS, "ok_actions": "OKActions"}),
    ),
    "aws_cloudwatch_dashboard": (
        Translation("AWS::CloudWatch::Dashboard"),
        Translation("cloudwatch.PutDashboard"),
    ),
    "aws_cloudwatch_event_rule": (Translation("AWS::Events::Rule"), Translation("events.PutRule", TAGS)),
    "aws_cloudwatch_event_target": (
        Translation("AWS::Events::Rule", {**EVENT_TARGET, "rule": "Name"}),
        Translation("events.PutTargets", {**EVENT_TARGET, "rule": "Rule"}),
    ),
    "aws_cloudwatch_log_group": (
        Translation("AWS::Logs::LogGroup", {**TAGS, "name": "LogGroupName"}),
        Translation("logs.CreateLogGroup", {**TAGS, "name": "logGroupName"}),
        Translation("logs.PutRetentionPolicy"),
    ),
    "aws_cloudwatch_metric_alarm": (
        Translation("AWS::CloudWatch::Alarm", METRIC_ALARM),
        Translation("cloudwatch.PutMetricAlarm", METRIC_ALARM),
    ),
    "aws_db_proxy": (Translation("AWS::RDS::DBProxy", PROXY), Translation("rds.CreateDBProxy", PROXY)),
    "aws_db_proxy_default_target_group": (
        Translation("AWS::RDS::DBProxyTargetGroup", {"connection_pool_config": "ConnectionPoolConfigurationInfo"}),
        Translation("rds.ModifyDBProxyTargetGroup"),
    ),
    "aws_db_proxy_target": (
        Translation("AWS::RDS::DBProxyTargetGroup", PROXIED),
        Translation("rds.RegisterDBProxyTargets", PROXIED),
    ),
    "aws_dynamodb_table": (
        Translation(
            "AWS::DynamoDB::Table",
            TABLE | {"point_in_time_recovery.enabled": "PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled"},
        ),
        Translation("dynamodb.CreateTable", TABLE | {"stream_enabled": "StreamSpecification.StreamEnabled"}),
        Translation("dynamodb.UpdateTimeToLive", {"ttl": "TimeToLiveSpecification"}),
    ),
    "aws_iam_role": (Translation("AWS::IAM::Role", ROLE), Translation("iam.CreateRole", ROLE)),
    "aws_iam_role_policy": (Translation("AWS::IAM::RolePolicy", POLICY), Translation("iam.PutRolePolicy", POLICY)),
    "aws_iam_role_policy_attachment": (Translation("iam.AttachRolePolicy", {"role": "RoleName"}),),
    "aws_lambda_alias": (Translation("AWS::Lambda::Alias"), Translation("lambda.CreateAlias")),
    "aws_lambda_event_source_mapping": (
        Translation("AWS::Lambda::EventSourceMapping", TAGS),
        Translation("lambda.CreateEventSourceMapping", TAGS),
    ),
    "aws_lambda_function": (
        Translation("AWS::Lambda::Function", TAGS),
        Translation("lambda.CreateFunction", TAGS),
        Translation("lambda.PutFunctionConcurrency"),
    ),
    "aws_lambda_invocation": (Translation("lambda.Invoke", {"input": "Payload"}),),
    "aws_lambda_function_event_invoke_config": (
        Translation("AWS::Lambda::EventInvokeConfig"),
        Translation("lambda.PutFunctionEventInvokeConfig"),
    ),
    "aws_lambda_permission": (Translation("AWS::Lambda::Permission"), Translation("lambda.AddPermission")),
    "aws_s3_bucket": (Translation("AWS::S3::Bucket", {**TAGS, "bucket": "BucketName"}), Translation("s3.CreateBucket")),
    "aws_s3_bucket_lifecycle_configuration": (
        Translation(
            "AWS::S3::Bucket",
            {
                "rule": S3_RULE,
                "rule.expiration.days": f"{S3_RULE}.ExpirationInDays",
                "rule.expiration.expired_object_delete_marker": f"{S3_RULE}.ExpiredObjectDeleteMarker",
                "rule.filter.prefix": f"{S3_RULE}.Prefix",
                "transition_default_minimum_object_size": "LifecycleConfiguration.TransitionDefaultMinimumObjectSize",
            },
        ),
        Translation("s3.PutBucketLifecycleConfiguration", {"rule": S3_RULE}),
    ),
    "aws_s3_bucket_notification": (
        Translation(
            "AWS::S3::Bucket",
            {"eventbridge": "NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled"},
        ),
    ),
    "aws_s3_bucket_policy": (Translation("AWS::S3::BucketPolicy", {"policy": "PolicyDocument"}),),
    "aws_s3_bucket_public_access_block": (Translation("AWS::S3::Bucket", {"": "PublicAccessBlockConfiguration"}),),
    "aws_s3_bucket_server_side_encryption_configuration": (
        Translation(
            "AWS::S3::Bucket",
            {
                "rule.apply_server_side_encryption_by_default": "BucketEncryption.ServerSideEncryptionConfiguration"
                ".ServerSideEncryptionByDefault",
                "rule.bucket_key_enabled": "BucketEncryption.ServerSideEncryptionConfiguration.BucketKeyEnabled",
            },
        ),
    ),
    "aws_s3_bucket_versioning": (Translation("AWS::S3::Bucket"),),
    "aws_secretsmanager_secret": (
        Translation("AWS::SecretsManager::Secret", TAGS),
        Translation("secretsmanager.CreateSecret", TAGS),
        Translation("secretsmanager.DeleteSecret"),
    ),
    "aws_secretsmanager_secret_version": (Translation("secretsmanager.PutSecretValue"),),
    "aws_security_group": (
        Translation("AWS::EC2::SecurityGroup", {**TAGS, "description": "GroupDescription", "name": "GroupName"}),
        Translation("ec2.CreateSecurityGroup", {"name": "GroupName"}),
    ),
    "aws_sfn_state_machine": (
        Translation(
            "AWS::StepFunctions::StateMachine",
            {**TAGS, "definition": "DefinitionString", "name": "StateMachineName", "type": "StateMachineType"},
        ),
        Translation("stepfunctions.CreateStateMachine", TAGS),
    ),
    "aws_sns_topic": (
        Translation("AWS::SNS::Topic", {**TAGS, "name": "TopicName"}),
        Translation("sns.CreateTopic", TAGS),
    ),
    "aws_sns_topic_policy": (Translation("AWS::SNS::TopicPolicy", {"policy": "PolicyDocument"}),),
    "aws_sns_topic_subscription": (Translation("AWS::SNS::Subscription"), Translation("sns.Subscribe")),
    "aws_sqs_queue": (
        Translation(
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
        Translation("AWS::SQS::QueuePolicy", {"policy": "PolicyDocument"}),
        Translation("sqs.CreateQueue", {"name": "QueueName"}),
    ),
    "aws_ssm_parameter": (
        Translation("AWS::SSM::Parameter", {**TAGS, "insecure_value": "Value"}),
        Translation("ssm.PutParameter", {**TAGS, "insecure_value": "Value"}),
    ),
    "aws_vpc_endpoint": (
        Translation("AWS::EC2::VPCEndpoint", TAGS),
        Translation("ec2.CreateVpcEndpoint"),
    ),
    "aws_vpc_security_group_egress_rule": (
        Translation(
            "AWS::EC2::SecurityGroupEgress",
            {**GROUP_RULE, "referenced_security_group_id": "DestinationSecurityGroupId"},
        ),
        Translation("ec2.CreateTags", TAGS),
    ),
    "aws_vpc_security_group_ingress_rule": (
        Translation(
            "AWS::EC2::SecurityGroupIngress",
            {**GROUP_RULE, "referenced_security_group_id": "SourceSecurityGroupId"},
        ),
        Translation("ec2.CreateTags", TAGS),
    ),
    "aws_wafv2_web_acl_association": (
        Translation("AWS::WAFv2::WebACLAssociation"),
        Translation("wafv2.AssociateWebACL"),
    ),
    "terraform_data": (),  # Terraform's own: nothing of it is sent to AWS
}

# Attributes that only the provider knows, or that it sends to AWS in another form.
UNTRANSLATED = {
    ("aws_api_gateway_method_settings", "method_path"),  # of two members: ResourcePath/HttpMethod
    ("aws_cloudwatch_event_rule", "force_destroy"),
    ("aws_cloudwatch_event_target", "force_destroy"),
    ("aws_cloudwatch_log_group", "skip_destroy"),
    ("aws_cloudwatch_metric_alarm", "dimensions"),
    ("aws_cloudwatch_metric_alarm", "metric_query.metric.dimensions"),
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
    ("aws_sns_topic_subscription", "confirmation_timeout_in_minutes"),
    ("aws_sns_topic_subscription", "endpoint_auto_confirms"),
    ("terraform_data", "input"),
}

# Values that the provider plans for attributes that are not set, and does not send.
UNSET = {
    ("aws_lambda_function", "reserved_concurrent_executions"): -1,
    ("aws_sqs_queue", "kms_data_key_reuse_period_seconds"): 0,
}

API = "https://docs.aws.amazon.com"
EC2_TEXT = Documented(
    {"maxLength": 255, "pattern": r"^[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]*\Z"},
    f"{API}/AWSEC2/latest/APIReference/API_IpRange.html",
)
DIMENSIONS = Documented(
    {
        "propertyNames": {"minLength": 1, "maxLength": 255},
        "additionalProperties": {"minLength": 1, "maxLength": 1024},
    },
    f"{API}/AmazonCloudWatch/latest/APIReference/API_Dimension.html",
)
# Constraints that AWS documents, and that no model has.
DOCUMENTED = {
    ("aws_cloudwatch_metric_alarm", "dimensions"): DIMENSIONS,
    ("aws_cloudwatch_metric_alarm", "metric_query.metric.dimensions"): DIMENSIONS,
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
        # A name with levels begins with a slash. It has at most 15 levels.
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
