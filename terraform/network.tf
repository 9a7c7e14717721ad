# Consumer, schema step and replayer run in the VPC of the database. The API function does not.

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
  description = "Backstream functions that talk to the database"
  vpc_id      = var.vpc_id

  lifecycle {
    precondition {
      condition     = length(data.aws_subnets.private.ids) > 0
      error_message = "${var.vpc_id} has no subnet tagged Tier = Private. Tag the subnets that reach the database."
    }
  }

  # Lambda uses the function's role to delete its network interfaces, up to 20 minutes after the function. The group
  # can only be deleted after them, and the policies of the roles must outlive the group.
  timeouts {
    delete = "45m"
  }

  depends_on = [aws_iam_role_policy.dlq_replayer, aws_iam_role_policy.schema, aws_iam_role_policy.stream_consumer]
}

resource "aws_vpc_security_group_egress_rule" "consumer_https" {
  security_group_id = aws_security_group.consumer.id
  description       = "SSM, Secrets Manager and S3"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0" # addresses of AWS services and endpoints change without notice
}

# To the database, or to your own RDS Proxy. rds_proxy.tf has the rules for a proxy that Terraform creates.
# Rules between groups have a Name tag instead of a description, which LocalStack does not keep.

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

# Endpoints for subnets without internet access. Lambda itself sends logs, traces and failed batches without them.

locals {
  # The replayer keeps its lock in DynamoDB, and asks Step Functions whether the holder is running.
  interface_endpoints = setintersection(var.create_vpc_endpoints, ["secretsmanager", "sqs", "ssm", "states"])
  gateway_endpoints   = setintersection(var.create_vpc_endpoints, ["dynamodb", "s3"])
  streams_endpoints   = setintersection(var.create_vpc_endpoints, ["dynamodb-streams"])
  # Shared by all endpoints of a kind: one or none.
  endpoints = length(setunion(local.interface_endpoints, local.streams_endpoints)) > 0 ? { endpoints = "${local.prefix}-endpoints" } : {}
  gateways  = length(local.gateway_endpoints) > 0 ? { gateways = var.vpc_id } : {}

  # An endpoint accepts one subnet per zone, in zones that offer the service.
  subnet_of_zone = {
    for zone, ids in { for subnet in data.aws_subnet.private : subnet.availability_zone => subnet.id... } : zone => sort(ids)[0]
  }
  subnets_of_service = {
    for name, service in data.aws_vpc_endpoint_service.interface :
    name => [for zone, id in local.subnet_of_zone : id if contains(service.availability_zones, zone)]
  }

  # A subnet without its own route table uses the main one of the VPC.
  routed_subnets = flatten([for table in data.aws_route_table.private : table.associations[*].subnet_id])
  main_tables    = length(setsubtract(data.aws_subnets.private.ids, local.routed_subnets)) > 0 ? [for table in data.aws_route_table.main : table.id] : []
  route_tables   = distinct(concat([for table in data.aws_route_table.private : table.id], local.main_tables))
}

data "aws_vpc" "endpoints" {
  for_each = local.endpoints

  id = var.vpc_id
}

data "aws_subnet" "private" {
  for_each = length(local.endpoints) > 0 ? toset(data.aws_subnets.private.ids) : toset([])

  id = each.value
}

data "aws_vpc_endpoint_service" "interface" {
  for_each = setunion(local.interface_endpoints, local.streams_endpoints)

  service_name = "com.amazonaws.${var.aws_region}.${each.value}"
  service_type = "Interface"
}

data "aws_route_tables" "private" {
  for_each = local.gateways

  vpc_id = each.value

  filter {
    name   = "association.subnet-id" # finds no subnet that uses the main route table
    values = data.aws_subnets.private.ids
  }
}

data "aws_route_table" "private" {
  for_each = toset(flatten([for tables in data.aws_route_tables.private : tables.ids]))

  route_table_id = each.value
}

data "aws_route_table" "main" {
  for_each = local.gateways

  vpc_id = each.value

  filter {
    name   = "association.main"
    values = ["true"]
  }
}

resource "aws_security_group" "endpoints" {
  for_each = local.endpoints

  name        = each.value
  description = "Backstream VPC endpoints"
  vpc_id      = var.vpc_id
}

# Private DNS sends the whole VPC to these endpoints, so all of it must be let in. Secret rotation is an example.
# https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html
resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  for_each = toset(flatten([for vpc in data.aws_vpc.endpoints : vpc.cidr_block_associations[*].cidr_block]))

  security_group_id = aws_security_group.endpoints["endpoints"].id
  description       = "HTTPS from the VPC"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = each.value
}

resource "aws_vpc_endpoint" "interface" {
  for_each = local.interface_endpoints

  vpc_id              = var.vpc_id
  service_name        = data.aws_vpc_endpoint_service.interface[each.value].service_name
  vpc_endpoint_type   = "Interface"
  subnet_ids          = local.subnets_of_service[each.value]
  security_group_ids  = [for group in aws_security_group.endpoints : group.id]
  private_dns_enabled = true

  lifecycle {
    precondition {
      condition     = length(local.subnets_of_service[each.value]) > 0
      error_message = "No private subnet is in a zone that offers the ${each.value} endpoint. Tag a subnet in such a zone Tier = Private."
    }
  }
}

# DynamoDB Streams has no private DNS name, so the replayer gets the DNS name of the endpoint:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/privatelink-streams.html
resource "aws_vpc_endpoint" "streams" {
  for_each = local.streams_endpoints

  vpc_id             = var.vpc_id
  service_name       = data.aws_vpc_endpoint_service.interface[each.value].service_name
  vpc_endpoint_type  = "Interface"
  subnet_ids         = local.subnets_of_service[each.value]
  security_group_ids = [for group in aws_security_group.endpoints : group.id]

  lifecycle {
    precondition {
      condition     = length(local.subnets_of_service[each.value]) > 0
      error_message = "No private subnet is in a zone that offers the ${each.value} endpoint. Tag a subnet in such a zone Tier = Private."
    }
  }
}

resource "aws_vpc_endpoint" "gateway" {
  for_each = local.gateway_endpoints

  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.${var.aws_region}.${each.value}"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = local.route_tables
}
