# The consumer, the schema step and the replayer sit in the VPC, as the database does; the API's function does not.

data "aws_subnets" "private" {
  filter {
    name   = "vpc-id"
    values = [var.vpc_id]
  }

  tags = {
    Tier = "Private"
  }
}

resource "aws_security_group" "consumer" {
  name        = local.function_names.stream_consumer
  description = "Backstream's functions that talk to the database"
  vpc_id      = var.vpc_id

  lifecycle {
    precondition {
      condition     = length(data.aws_subnets.private.ids) > 0
      error_message = "${var.vpc_id} has no subnet tagged Tier = Private: tag the subnets that reach the database."
    }
  }
}

resource "aws_vpc_security_group_egress_rule" "consumer_https" {
  security_group_id = aws_security_group.consumer.id
  description       = "SSM, Secrets Manager and S3"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0" # public addresses through NAT, or endpoints: both change without notice
}

# The way to the database, or to the RDS Proxy that you bring. With a proxy of Terraform's, see rds_proxy.tf.
# Rules between groups say what they are for in a Name tag: LocalStack forgets their description, so that every
# plan would want to write it again.

resource "aws_vpc_security_group_egress_rule" "consumer_mysql" {
  for_each = local.creates_proxy ? {} : { database = var.rds_sg_id }

  security_group_id            = aws_security_group.consumer.id
  ip_protocol                  = "tcp"
  from_port                    = var.mysql_port
  to_port                      = var.mysql_port
  referenced_security_group_id = each.value

  tags = { Name = "MySQL" }
}

resource "aws_vpc_security_group_ingress_rule" "mysql_consumer" {
  for_each = local.creates_proxy ? {} : { database = var.rds_sg_id }

  security_group_id            = each.value
  ip_protocol                  = "tcp"
  from_port                    = var.mysql_port
  to_port                      = var.mysql_port
  referenced_security_group_id = aws_security_group.consumer.id

  tags = { Name = "MySQL from ${local.function_names.stream_consumer}" }
}

# Endpoints, for subnets without a way out. Logs, traces and failed batches need none: Lambda sends them itself.

locals {
  # The replayer looks after its lock in DynamoDB and asks Step Functions who holds it.
  interface_endpoints = var.create_vpc_endpoints ? toset(concat(["ssm", "secretsmanager", "states"], [for queue in local.failures_queues : "sqs"])) : toset([])
  gateway_endpoints   = var.create_vpc_endpoints ? toset(["s3", "dynamodb"]) : toset([])
  streams_endpoints   = var.create_vpc_endpoints ? local.failures_queues : {}
}

resource "aws_security_group" "endpoints" {
  for_each = var.create_vpc_endpoints ? { endpoints = "${local.prefix}-endpoints" } : {}

  name        = each.value
  description = "Backstream's VPC endpoints"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  for_each = aws_security_group.endpoints

  security_group_id            = each.value.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  referenced_security_group_id = aws_security_group.consumer.id

  tags = { Name = "HTTPS from ${local.function_names.stream_consumer}" }
}

resource "aws_vpc_endpoint" "interface" {
  for_each = local.interface_endpoints

  vpc_id              = var.vpc_id
  service_name        = "com.amazonaws.${var.aws_region}.${each.value}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = data.aws_subnets.private.ids
  security_group_ids  = [for group in aws_security_group.endpoints : group.id]
  private_dns_enabled = true
}

# Streams have no private DNS name, so that the replayer is told the endpoint's own:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/privatelink-streams.html
resource "aws_vpc_endpoint" "streams" {
  for_each = local.streams_endpoints

  vpc_id             = var.vpc_id
  service_name       = "com.amazonaws.${var.aws_region}.dynamodb-streams"
  vpc_endpoint_type  = "Interface"
  subnet_ids         = data.aws_subnets.private.ids
  security_group_ids = [for group in aws_security_group.endpoints : group.id]
}

data "aws_route_tables" "private" {
  for_each = local.gateway_endpoints

  vpc_id = var.vpc_id

  filter {
    name   = "association.subnet-id"
    values = data.aws_subnets.private.ids
  }
}

# A subnet without a route table of its own uses the VPC's main one.
data "aws_route_table" "main" {
  for_each = local.gateway_endpoints

  vpc_id = var.vpc_id

  filter {
    name   = "association.main"
    values = ["true"]
  }
}

resource "aws_vpc_endpoint" "gateway" {
  for_each = local.gateway_endpoints

  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.${var.aws_region}.${each.value}"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = try(coalescelist(data.aws_route_tables.private[each.value].ids), [data.aws_route_table.main[each.value].id])
}
