# deletion_protection for the whole deployment. Terraform destroys dependents first. Without this table, a destroy would
# delete mapping, functions and bucket before the protected orders table stops it. This table depends on everything, so
# a destroy deletes it first, and fails there when it is protected. It is empty and costs nothing.
# A variable cannot stop a destroy: preconditions are not checked then, and prevent_destroy accepts no variable.

resource "aws_dynamodb_table" "guard" {
  #checkov:skip=CKV_AWS_119:kms_key_arn encrypts it with a key of yours; without it DynamoDB encrypts with a key that it owns
  #checkov:skip=CKV_AWS_28:The table is always empty

  name                        = "${local.prefix}-deletion-guard"
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
    enabled     = var.kms_key_arn != null
    kms_key_arn = var.kms_key_arn
  }

  # All resources, with those of the modules.
  depends_on = [
    aws_ssm_parameter.outputs,
    module.orders_api,
    module.pipeline,
    module.vpc_endpoints,
  ]
}
