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
  description = "Backstream functions that talk to the database"
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
  # What all endpoints share exists once or not at all.
  endpoints = var.create_vpc_endpoints ? { endpoints = "${local.prefix}-endpoints" } : {}
  # The replayer looks after its lock in DynamoDB and asks Step Functions who holds it.
  interface_endpoints = var.create_vpc_endpoints ? toset(concat(["ssm", "secretsmanager", "states"], [for queue in local.failures_queues : "sqs"])) : toset([])
  gateway_endpoints   = var.create_vpc_endpoints ? toset(["s3", "dynamodb"]) : toset([])
  streams_endpoints   = var.create_vpc_endpoints ? local.failures_queues : {}

  # An endpoint takes one subnet a zone, of the zones that its service is in.
  subnet_of_zone = {
    for zone, ids in { for subnet in data.aws_subnet.private : subnet.availability_zone => subnet.id... } : zone => sort(ids)[0]
  }
  subnets_of_service = {
    for name, service in data.aws_vpc_endpoint_service.interface :
    name => [for zone, id in local.subnet_of_zone : id if contains(service.availability_zones, zone)]
  }

  # A subnet without a route table of its own uses the VPC's main one.
  routed_subnets = flatten([for table in data.aws_route_table.private : table.associations[*].subnet_id])
  main_tables    = length(setsubtract(data.aws_subnets.private.ids, local.routed_subnets)) > 0 ? [for table in data.aws_route_table.main : table.id] : []
  route_tables   = distinct(concat([for table in data.aws_route_table.private : table.id], local.main_tables))
}

data "aws_vpc" "endpoints" {
  for_each = local.endpoints

  id = var.vpc_id
}

data "aws_subnet" "private" {
  for_each = var.create_vpc_endpoints ? toset(data.aws_subnets.private.ids) : toset([])

  id = each.value
}

data "aws_vpc_endpoint_service" "interface" {
  for_each = setunion(local.interface_endpoints, [for queue in local.streams_endpoints : "dynamodb-streams"])

  service_name = "com.amazonaws.${var.aws_region}.${each.value}"
  service_type = "Interface"
}

data "aws_route_tables" "private" {
  for_each = local.endpoints

  vpc_id = var.vpc_id

  filter {
    name   = "association.subnet-id" # as they say themselves: using the main one leaves no trace
    values = data.aws_subnets.private.ids
  }
}

data "aws_route_table" "private" {
  for_each = toset(flatten([for tables in data.aws_route_tables.private : tables.ids]))

  route_table_id = each.value
}

data "aws_route_table" "main" {
  for_each = local.endpoints

  vpc_id = var.vpc_id

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

# Their private names are those of the services for all of the VPC, so that all of it must get through: the rotation
# of the database's secret, for instance. https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html
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
      error_message = "No private subnet lies in a zone that has ${each.value}'s endpoint: tag one that does Tier = Private."
    }
  }
}

# Streams have no private DNS name, so that the replayer is told the endpoint's own:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/privatelink-streams.html
resource "aws_vpc_endpoint" "streams" {
  for_each = local.streams_endpoints

  vpc_id             = var.vpc_id
  service_name       = data.aws_vpc_endpoint_service.interface["dynamodb-streams"].service_name
  vpc_endpoint_type  = "Interface"
  subnet_ids         = local.subnets_of_service["dynamodb-streams"]
  security_group_ids = [for group in aws_security_group.endpoints : group.id]

  lifecycle {
    precondition {
      condition     = length(local.subnets_of_service["dynamodb-streams"]) > 0
      error_message = "No private subnet lies in a zone that has DynamoDB Streams' endpoint: tag one that does Tier = Private."
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
