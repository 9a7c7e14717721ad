# Endpoints for subnets without internet access. Lambda itself sends logs, traces and failed batches without them.
# A VPC needs them once, however many pipelines it has.

data "aws_region" "current" {}

data "aws_subnets" "private" {
  for_each = var.subnet_ids == null ? { vpc = var.vpc_id } : {}

  filter {
    name   = "vpc-id"
    values = [each.value]
  }

  tags = {
    Tier = "Private"
  }
}

locals {
  region     = data.aws_region.current.id # provider 6 deprecates name
  subnet_ids = var.subnet_ids == null ? data.aws_subnets.private["vpc"].ids : var.subnet_ids

  # Replayer and reconciler keep their locks in DynamoDB, and ask Step Functions whether the holder is running. The
  # reconciler asks Lambda for the state of the event source mapping, and CloudWatch (monitoring) for the consumer's lag.
  interface_endpoints = setintersection(var.services, ["lambda", "monitoring", "secretsmanager", "sqs", "ssm", "states"])
  gateway_endpoints   = setintersection(var.services, ["dynamodb", "s3"])
  streams_endpoints   = setintersection(var.services, ["dynamodb-streams"])
  # Shared by all endpoints of a kind: one or none.
  endpoints = length(setunion(local.interface_endpoints, local.streams_endpoints)) > 0 ? { endpoints = "${var.name}-${var.env}-endpoints" } : {}
  # Where the caller does not name the route tables.
  gateways = length(local.gateway_endpoints) > 0 && var.route_table_ids == null ? { gateways = var.vpc_id } : {}

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
  main_tables    = length(setsubtract(local.subnet_ids, local.routed_subnets)) > 0 ? [for table in data.aws_route_table.main : table.id] : []
  route_tables   = var.route_table_ids == null ? distinct(concat([for table in data.aws_route_table.private : table.id], local.main_tables)) : var.route_table_ids

  vpc_cidr_blocks = var.vpc_cidr_blocks == null ? flatten([for vpc in data.aws_vpc.endpoints : vpc.cidr_block_associations[*].cidr_block]) : var.vpc_cidr_blocks

  tags = length(var.tags) > 0 ? var.tags : null # the provider takes an empty map for a change
}

data "aws_vpc" "endpoints" {
  for_each = { for name in keys(local.endpoints) : name => var.vpc_id if var.vpc_cidr_blocks == null }

  id = each.value
}

data "aws_subnet" "private" {
  for_each = length(local.endpoints) > 0 ? { for index, id in local.subnet_ids : index => id } : {}

  id = each.value
}

data "aws_vpc_endpoint_service" "interface" {
  for_each = setunion(local.interface_endpoints, local.streams_endpoints)

  service_name = "com.amazonaws.${local.region}.${each.value}"
  service_type = "Interface"
}

data "aws_route_tables" "private" {
  for_each = local.gateways

  vpc_id = each.value

  filter {
    name   = "association.subnet-id" # finds no subnet that uses the main route table
    values = local.subnet_ids
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

  tags = local.tags
}

# Private DNS sends the whole VPC to these endpoints, so all of it must be let in. Secret rotation is an example.
# https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html
resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  for_each = length(local.endpoints) > 0 ? toset(local.vpc_cidr_blocks) : toset([])

  security_group_id = aws_security_group.endpoints["endpoints"].id
  description       = "HTTPS from the VPC"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = each.value

  tags = local.tags
}

resource "aws_vpc_endpoint" "interface" {
  for_each = local.interface_endpoints

  vpc_id              = var.vpc_id
  service_name        = data.aws_vpc_endpoint_service.interface[each.value].service_name
  vpc_endpoint_type   = "Interface"
  subnet_ids          = local.subnets_of_service[each.value]
  security_group_ids  = [for group in aws_security_group.endpoints : group.id]
  private_dns_enabled = true

  tags = local.tags

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

  tags = local.tags

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
  service_name      = "com.amazonaws.${local.region}.${each.value}"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = local.route_tables

  tags = local.tags
}
