# A web ACL of AWS WAF before the API, which the caller brings.

locals {
  # A bool, because the ARN of a web ACL that is created in the same apply is not known at plan.
  uses_web_acl = var.use_web_acl == null ? var.web_acl_arn != null : var.use_web_acl
}

resource "aws_wafv2_web_acl_association" "api" {
  for_each = local.uses_web_acl ? { api = aws_api_gateway_stage.live.arn } : {}

  resource_arn = each.value
  web_acl_arn  = var.web_acl_arn

  lifecycle {
    precondition {
      condition     = var.web_acl_arn == null ? true : startswith(var.web_acl_arn, "arn:${local.partition}:wafv2:${local.region}:")
      error_message = "web_acl_arn must be in ${local.region}, the Region of the provider (arn:${local.partition}:wafv2:${local.region}:...). WAF protects no API of another Region."
    }
  }
}
