# Consumer, schema step, replayer and reconciler run in the VPC of the database.

data "aws_subnets" "private" {
  for_each = var.subnet_ids == null ? { vpc = var.vpc_id } : {}

  filter {
    name   = "vpc-id"
    values = [each.value]
  }

  tags = {
    Tier = "Private"
  }

  lifecycle {
    postcondition {
      condition     = length(self.ids) > 0
      error_message = "${each.value} has no subnet tagged Tier = Private. Tag the subnets that reach the database, or give subnet_ids."
    }
  }
}

locals {
  subnet_ids         = var.subnet_ids == null ? data.aws_subnets.private["vpc"].ids : var.subnet_ids
  security_group_ids = concat([for group in aws_security_group.consumer : group.id], var.security_group_ids)
  # Of the functions, unless the caller brings groups that reach the database.
  consumer_groups = var.create_security_group ? { consumer = local.function_names.stream_consumer } : {}
  # With an RDS Proxy, its groups have these rules.
  database_groups = var.create_security_group && !var.create_rds_proxy ? { database = var.rds_sg_id } : {}
}

resource "aws_security_group" "consumer" {
  #checkov:skip=CKV2_AWS_5:It is attached to the functions by a local, which checkov does not follow

  for_each = local.consumer_groups

  name        = each.value
  description = "Backstream functions that talk to the database"
  vpc_id      = var.vpc_id

  tags = local.tags

  lifecycle {
    precondition {
      condition     = var.rds_sg_id != null
      error_message = "Give rds_sg_id, the security group of the database. Or give security_group_ids that reach the database, and create_security_group = false."
    }
  }

  # Lambda uses the function's role to delete its network interfaces, up to 20 minutes after the function. The group
  # can only be deleted after them, and the policies of the roles must outlive the group.
  timeouts {
    delete = "45m"
  }

  depends_on = [
    aws_iam_role_policy.dlq_replayer,
    aws_iam_role_policy.reconciler,
    aws_iam_role_policy.schema,
    aws_iam_role_policy.stream_consumer,
  ]
}

resource "aws_vpc_security_group_egress_rule" "consumer_https" {
  for_each = aws_security_group.consumer

  security_group_id = each.value.id
  description       = "SSM, Secrets Manager and S3"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0" # addresses of AWS services and endpoints change without notice

  tags = local.tags
}

# To the database, or to your own RDS Proxy. rds_proxy.tf has the rules for a proxy that Terraform creates.

resource "aws_vpc_security_group_egress_rule" "consumer_mysql" {
  for_each = local.database_groups

  security_group_id            = aws_security_group.consumer["consumer"].id
  description                  = "MySQL"
  ip_protocol                  = "tcp"
  from_port                    = var.mysql_port
  to_port                      = var.mysql_port
  referenced_security_group_id = each.value

  tags = merge(var.tags, { Name = "MySQL" })
}

resource "aws_vpc_security_group_ingress_rule" "mysql_consumer" {
  for_each = local.database_groups

  security_group_id            = each.value
  description                  = "MySQL from ${local.function_names.stream_consumer}"
  ip_protocol                  = "tcp"
  from_port                    = var.mysql_port
  to_port                      = var.mysql_port
  referenced_security_group_id = aws_security_group.consumer["consumer"].id

  tags = merge(var.tags, { Name = "MySQL from ${local.function_names.stream_consumer}" })
}
