# deletion_protection for the whole pipeline. Terraform destroys dependents first. Without this table, a destroy would
# delete mapping, functions and bucket before the protected table stops it. This table depends on everything, so a
# destroy deletes it first, and fails there when it is protected. It is empty and costs nothing.
# A variable cannot stop a destroy: preconditions are not checked then, and prevent_destroy accepts no variable.

resource "aws_dynamodb_table" "guard" {
  #checkov:skip=CKV_AWS_119:kms_key_arn encrypts it with a key of yours; without it DynamoDB encrypts with a key that it owns
  #checkov:skip=CKV_AWS_28:The table is always empty

  for_each = var.create_deletion_guard ? { guard = "${local.prefix}-deletion-guard" } : {}

  name                        = each.value
  billing_mode                = "PAY_PER_REQUEST"
  deletion_protection_enabled = var.deletion_protection

  hash_key = "p_key"

  attribute {
    name = "p_key"
    type = "S"
  }

  # Always given, because the provider keeps the key of an earlier apply when the block is left out:
  # https://github.com/hashicorp/terraform-provider-aws/issues/29811
  server_side_encryption {
    enabled     = local.uses_kms_key
    kms_key_arn = var.kms_key_arn
  }

  tags = local.tags

  # The ends of all dependency chains. A test in tests/wiring checks that none is missing.
  depends_on = [
    aws_cloudwatch_composite_alarm.replication_at_risk,
    aws_cloudwatch_dashboard.pipeline,
    aws_cloudwatch_event_target.auto_replay,
    aws_cloudwatch_event_target.monitor,
    aws_cloudwatch_event_target.prune,
    aws_cloudwatch_event_target.verify,
    aws_iam_role_policy.auto_replay,
    aws_iam_role_policy.prune_schedule,
    aws_iam_role_policy.verify_schedule,
    aws_lambda_event_source_mapping.stream,
    aws_s3_bucket_lifecycle_configuration.failures,
    aws_s3_bucket_notification.failures,
    aws_s3_bucket_policy.failures,
    aws_s3_bucket_server_side_encryption_configuration.failures,
    aws_sns_topic_policy.alarms,
    aws_sns_topic_subscription.alarms,
    aws_ssm_parameter.outputs,
  ]
}
