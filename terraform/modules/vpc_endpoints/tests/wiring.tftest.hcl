# Endpoints where a VPC needs them, without an AWS account.

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  env      = "test"
  vpc_id   = "vpc-1"
  services = []
}

# Applied once. The other runs plan changes to it where that shows all values, which is quicker.
run "endpoints_are_made_when_asked_for" {
  variables {
    services = ["dynamodb", "s3", "secretsmanager", "ssm", "states"]
  }

  assert {
    condition     = toset([for endpoint in aws_vpc_endpoint.interface : endpoint.service_name]) == toset(["com.amazonaws.eu-west-1.secretsmanager", "com.amazonaws.eu-west-1.ssm", "com.amazonaws.eu-west-1.states"])
    error_message = "The functions read their configuration through endpoints."
  }

  assert {
    condition     = aws_vpc_endpoint.gateway["s3"].service_name == "com.amazonaws.eu-west-1.s3" && aws_vpc_endpoint.gateway["s3"].vpc_endpoint_type == "Gateway"
    error_message = "The consumer parks poison records through an endpoint."
  }
}

run "a_load_gets_its_endpoints_when_asked_for" {
  command = plan

  variables {
    services = ["lambda", "monitoring"]
  }

  assert {
    condition     = { for name, endpoint in aws_vpc_endpoint.interface : name => endpoint.service_name if endpoint.private_dns_enabled } == { lambda = "com.amazonaws.eu-west-1.lambda", monitoring = "com.amazonaws.eu-west-1.monitoring" }
    error_message = "The reconciler calls Lambda and CloudWatch by their usual names."
  }
}

run "only_the_endpoints_asked_for_are_made" {
  command = plan

  variables {
    services = ["s3"]
  }

  assert {
    condition     = length(aws_vpc_endpoint.interface) == 0 && length(aws_vpc_endpoint.streams) == 0 && keys(aws_vpc_endpoint.gateway) == ["s3"] && length(aws_security_group.endpoints) == 0
    error_message = "AWS refuses a second endpoint with the same private DNS name."
  }
}

run "no_endpoints_by_default" {
  command = plan

  assert {
    condition     = length(aws_vpc_endpoint.interface) == 0 && length(aws_vpc_endpoint.streams) == 0 && length(aws_vpc_endpoint.gateway) == 0 && length(aws_security_group.endpoints) == 0
    error_message = "Most VPCs have internet access."
  }
}

run "an_endpoint_takes_a_subnet_a_zone_that_its_service_is_in" {
  command = plan

  variables {
    services = ["dynamodb", "s3", "secretsmanager", "ssm", "states"]
  }

  override_data {
    target = data.aws_subnets.private["vpc"]
    values = { ids = ["subnet-1", "subnet-2", "subnet-3", "subnet-4"] }
  }

  override_data {
    target = data.aws_subnet.private["2"]
    values = { id = "subnet-3", availability_zone = "eu-west-1b" }
  }

  override_data {
    target = data.aws_subnet.private["3"]
    values = { id = "subnet-4", availability_zone = "eu-west-1c" }
  }

  assert {
    condition     = alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.subnet_ids == toset(["subnet-1", "subnet-3"])])
    error_message = "AWS accepts one subnet per zone, in zones that offer the service."
  }
}

run "no_endpoint_where_its_service_is_not" {
  command = plan

  variables {
    services = ["dynamodb", "s3", "secretsmanager", "ssm", "states"]
  }

  override_data {
    target = data.aws_vpc_endpoint_service.interface["ssm"]
    values = { availability_zones = ["eu-west-1c"] }
  }

  expect_failures = [aws_vpc_endpoint.interface["ssm"]]
}

run "endpoints_are_open_to_all_of_the_vpc" {
  command = plan

  variables {
    services = ["dynamodb", "s3", "secretsmanager", "ssm", "states"]
  }

  override_data {
    target = data.aws_vpc.endpoints["endpoints"]
    values = { cidr_block_associations = [{ cidr_block = "10.0.0.0/16", association_id = "1", state = "associated" }, { cidr_block = "10.1.0.0/16", association_id = "2", state = "associated" }] }
  }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.endpoints : rule.cidr_ipv4]) == toset(["10.0.0.0/16", "10.1.0.0/16"])
    error_message = "Endpoints replace the public names of the services for the whole VPC."
  }
}

run "gateway_endpoints_reach_every_private_subnet" {
  command = plan

  variables {
    services = ["dynamodb", "s3", "secretsmanager", "ssm", "states"]
  }

  override_data {
    target = data.aws_route_tables.private["gateways"]
    values = { ids = ["rtb-1"] }
  }

  override_data {
    target = data.aws_route_table.private["rtb-1"]
    values = { id = "rtb-1", associations = [{ subnet_id = "subnet-1" }] }
  }

  override_data {
    target = data.aws_route_table.main["gateways"]
    values = { id = "rtb-main" }
  }

  assert {
    condition     = aws_vpc_endpoint.gateway["s3"].route_table_ids == toset(["rtb-1", "rtb-main"])
    error_message = "subnet-2 has no route table, so it uses the main one."
  }
}

run "an_unused_main_route_table_is_left_alone" {
  command = plan

  variables {
    services = ["dynamodb", "s3", "secretsmanager", "ssm", "states"]
  }

  override_data {
    target = data.aws_route_tables.private["gateways"]
    values = { ids = ["rtb-1"] }
  }

  override_data {
    target = data.aws_route_table.private["rtb-1"]
    values = { id = "rtb-1", associations = [{ subnet_id = "subnet-1" }, { subnet_id = "subnet-2" }] }
  }

  assert {
    condition     = aws_vpc_endpoint.gateway["s3"].route_table_ids == toset(["rtb-1"])
    error_message = "The routes of other subnets must not change."
  }
}
