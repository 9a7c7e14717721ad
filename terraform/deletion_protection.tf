# deletion_protection for the deployment as a whole. Terraform destroys what depends on others first, so that a destroy
# which the protected orders table refuses has by then deleted mapping, functions and bucket. This table depends on
# everything: it is what a destroy deletes first, and where it is protected nothing else is touched. It is empty and
# costs nothing. A variable cannot stop a destroy: preconditions do not know of one, and prevent_destroy takes no variable.

resource "aws_dynamodb_table" "guard" {
  name                        = "${local.prefix}-deletion-guard"
  billing_mode                = "PAY_PER_REQUEST"
  deletion_protection_enabled = var.deletion_protection

  hash_key = "p_key"

  attribute {
    name = "p_key"
    type = "S"
  }

  # The ends of all chains; tests/wiring holds that nothing is left out.
  depends_on = [
    aws_api_gateway_method_settings.all,
    aws_cloudwatch_event_target.auto_replay,
    aws_iam_role_policy.auto_replay,
    aws_lambda_event_source_mapping.orders,
    aws_lambda_permission.api,
    aws_lambda_permission.api_authorizer,
    aws_s3_bucket_lifecycle_configuration.failures,
    aws_s3_bucket_notification.failures,
    aws_s3_bucket_policy.failures,
    aws_s3_bucket_server_side_encryption_configuration.failures,
    aws_secretsmanager_secret_version.api_generated,
    aws_secretsmanager_secret_version.api_given,
  ]
}
