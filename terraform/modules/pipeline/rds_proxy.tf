# Created with create_rds_proxy. Terraform then also writes the connection parameter.

locals {
  # Each resource here exists once or not at all.
  proxy = var.create_rds_proxy ? { proxy = "${local.prefix}-mysql" } : {}
  # Of the functions. Keys are known at plan, ids may not be.
  proxy_clients = var.create_rds_proxy ? (
    var.create_security_group ? { for group in aws_security_group.consumer : "proxy" => group.id } : { for index, id in var.security_group_ids : tostring(index) => id }
  ) : {}
}

data "aws_iam_policy_document" "proxy_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["rds.amazonaws.com"]
    }

    # No aws:SourceAccount condition: AWS does not document that RDS Proxy sends it.
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-iam-setup.html
  }
}

data "aws_iam_policy_document" "proxy" {
  statement {
    sid       = "ReadDatabaseSecret"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.rds_secret_arn]
  }

  dynamic "statement" {
    for_each = var.rds_secret_kms_key_arn[*]

    content {
      sid       = "DecryptDatabaseSecret"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["secretsmanager.${local.region}.amazonaws.com"]
      }
    }
  }
}

resource "aws_iam_role" "proxy" {
  for_each = local.proxy

  name                 = "${each.value}-${local.region}"
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary
  assume_role_policy   = data.aws_iam_policy_document.proxy_trust.json

  tags = local.tags
}

resource "aws_iam_role_policy" "proxy" {
  for_each = aws_iam_role.proxy

  name   = "proxy"
  role   = each.value.name
  policy = data.aws_iam_policy_document.proxy.json
}

# The security group of the proxy: consumer -> proxy -> database.
resource "aws_security_group" "proxy" {
  #checkov:skip=CKV2_AWS_5:It is attached to the RDS Proxy, which checkov does not look at

  for_each = local.proxy

  name        = each.value
  description = "Backstream RDS Proxy"
  vpc_id      = var.vpc_id

  tags = local.tags
}

resource "aws_vpc_security_group_egress_rule" "consumer_proxy" {
  for_each = var.create_security_group ? aws_security_group.proxy : {}

  security_group_id            = aws_security_group.consumer["consumer"].id
  description                  = "MySQL through RDS Proxy"
  ip_protocol                  = "tcp"
  from_port                    = 3306 # a proxy for MySQL listens only here
  to_port                      = 3306
  referenced_security_group_id = each.value.id

  tags = merge(var.tags, { Name = "MySQL through RDS Proxy" })
}

resource "aws_vpc_security_group_ingress_rule" "proxy_consumer" {
  for_each = local.proxy_clients

  security_group_id            = aws_security_group.proxy["proxy"].id
  description                  = "MySQL from ${local.function_names.stream_consumer}"
  ip_protocol                  = "tcp"
  from_port                    = 3306
  to_port                      = 3306
  referenced_security_group_id = each.value

  tags = merge(var.tags, { Name = "MySQL from ${local.function_names.stream_consumer}" })
}

resource "aws_vpc_security_group_egress_rule" "proxy_database" {
  for_each = aws_security_group.proxy

  security_group_id            = each.value.id
  description                  = "MySQL"
  ip_protocol                  = "tcp"
  from_port                    = var.mysql_port
  to_port                      = var.mysql_port
  referenced_security_group_id = var.rds_sg_id

  tags = merge(var.tags, { Name = "MySQL" })
}

resource "aws_vpc_security_group_ingress_rule" "database_proxy" {
  for_each = aws_security_group.proxy

  security_group_id            = var.rds_sg_id
  description                  = "MySQL from ${each.value.name}"
  ip_protocol                  = "tcp"
  from_port                    = var.mysql_port
  to_port                      = var.mysql_port
  referenced_security_group_id = each.value.id

  tags = merge(var.tags, { Name = "MySQL from ${each.value.name}" })
}

resource "aws_db_proxy" "mysql" {
  for_each = local.proxy

  name                   = each.value
  engine_family          = "MYSQL"
  require_tls            = true
  role_arn               = aws_iam_role.proxy[each.key].arn
  vpc_subnet_ids         = local.subnet_ids
  vpc_security_group_ids = [aws_security_group.proxy[each.key].id]

  auth {
    auth_scheme = "SECRETS"
    iam_auth    = "DISABLED"
    secret_arn  = var.rds_secret_arn
  }

  tags = local.tags

  lifecycle {
    # A new private subnet would replace the proxy. AWS drops subnets in zones without RDS Proxy, so every plan would
    # replace it: https://github.com/hashicorp/terraform-provider-aws/pull/40498
    ignore_changes = [vpc_subnet_ids]

    precondition {
      condition     = (var.rds_instance_identifier == null) != (var.rds_cluster_identifier == null)
      error_message = "Give rds_instance_identifier or rds_cluster_identifier, and not both. An RDS Proxy has one target."
    }

    precondition {
      condition     = var.rds_database != null
      error_message = "Give rds_database. Terraform needs it to write the connection parameter of the RDS Proxy."
    }

    precondition {
      condition     = var.rds_sg_id != null
      error_message = "Give rds_sg_id. The RDS Proxy needs a rule in the security group of the database."
    }

    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-network-prereqs.html
    precondition {
      condition     = length(local.subnet_ids) >= 2
      error_message = "The RDS Proxy needs at least two subnets in different Availability Zones. Tag a second subnet Tier = Private, or name two in subnet_ids."
    }

    precondition {
      condition     = length(each.value) <= 63
      error_message = "The name of the RDS Proxy ${each.value} exceeds the 63 characters that RDS allows. Shorten name, env or pipeline."
    }
  }

  depends_on = [aws_iam_role_policy.proxy]
}

resource "aws_db_proxy_default_target_group" "mysql" {
  for_each = aws_db_proxy.mysql

  db_proxy_name = each.value.name

  connection_pool_config {
    max_connections_percent = var.rds_proxy_max_connections_percent
    # RDS refuses more idle connections than connections. The provider sends 50 by default.
    max_idle_connections_percent = floor(var.rds_proxy_max_connections_percent / 2)
    # Below the read timeout, so that the proxy reports error 9501 before the read times out.
    connection_borrow_timeout = max(1, var.mysql_read_timeout_seconds - 5)
  }

  lifecycle {
    # A replaced proxy keeps its name. These two refer to it by name only, so Terraform would not replace them:
    # https://github.com/hashicorp/terraform-provider-aws/issues/17781
    replace_triggered_by = [aws_db_proxy.mysql[each.key].arn]
  }
}

resource "aws_db_proxy_target" "mysql" {
  for_each = aws_db_proxy.mysql

  db_proxy_name          = each.value.name
  target_group_name      = aws_db_proxy_default_target_group.mysql[each.key].name
  db_instance_identifier = var.rds_instance_identifier
  db_cluster_identifier  = var.rds_cluster_identifier

  lifecycle {
    replace_triggered_by = [aws_db_proxy.mysql[each.key].arn]
  }
}

resource "aws_ssm_parameter" "rds_connection" {
  #checkov:skip=CKV2_AWS_34:It holds the address of the RDS Proxy and no secret, and AWS refuses to turn a String into a SecureString

  for_each = aws_db_proxy.mysql

  name        = var.rds_connection_param_name
  description = "Where Backstream finds MySQL: its RDS Proxy"
  type        = "String"
  value = jsonencode({
    hostname = each.value.endpoint
    port     = 3306
    db       = var.rds_database
    driver   = "mysql"
  })

  tags = local.tags
}
