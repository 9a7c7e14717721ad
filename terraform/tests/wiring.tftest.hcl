# What the root puts together, without an AWS account. The tests of the modules are beside them.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = module.pipeline.aws_sfn_state_machine.replay
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-replay" }
}

override_resource {
  target = module.pipeline.aws_sfn_state_machine.job["prune"]
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-prune" }
}

override_resource {
  target = module.pipeline.aws_sfn_state_machine.job["seed"]
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-seed" }
}

override_resource {
  target = module.pipeline.aws_sfn_state_machine.job["verify"]
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-verify" }
}

override_resource {
  target = module.pipeline.aws_sfn_state_machine.job["load"]
  values = { arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:backstream-test-load" }
}

variables {
  aws_region                = "eu-west-1"
  env                       = "test"
  vpc_id                    = "vpc-1"
  rds_sg_id                 = "sg-database"
  rds_secret_arn            = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mysql-AbCdEf"
  rds_connection_param_name = "/test/mysql"
  build_dir                 = "./tests/fixture"
}

run "a_parameter_holds_the_outputs" {
  assert {
    condition     = aws_ssm_parameter.outputs.name == "/backstream-test/outputs" && output.outputs_param_name == aws_ssm_parameter.outputs.name
    error_message = "The parameter name consists of name and env."
  }

  assert {
    condition     = aws_ssm_parameter.outputs.type == "String" && aws_ssm_parameter.outputs.tier == "Standard"
    error_message = "A standard String costs nothing, and is enough for a value without secrets."
  }

  assert {
    condition     = jsondecode(aws_ssm_parameter.outputs.insecure_value).api_url == output.api_url && jsondecode(aws_ssm_parameter.outputs.insecure_value).replay_state_machine_arn == output.replay_state_machine_arn && jsondecode(aws_ssm_parameter.outputs.insecure_value).load_state_machine_arn == output.load_state_machine_arn && jsondecode(aws_ssm_parameter.outputs.insecure_value).verify_state_machine_arn == output.verify_state_machine_arn && jsondecode(aws_ssm_parameter.outputs.insecure_value).seed_state_machine_arn == output.seed_state_machine_arn
    error_message = "The parameter holds the values of the outputs."
  }
}

run "names_are_those_of_before_there_were_modules" {
  assert {
    condition = (
      output.table_name == "backstream-test-orders" &&
      output.idempotency_table_name == "backstream-test-idempotency" &&
      output.api_function_name == "backstream-test-api" &&
      output.consumer_function_name == "backstream-test-stream-consumer" &&
      output.schema_function_name == "backstream-test-schema" &&
      output.replayer_function_name == "backstream-test-dlq-replayer" &&
      output.reconciler_function_name == "backstream-test-reconciler" &&
      output.monitor_function_name == "backstream-test-monitor" &&
      output.failures_bucket == "backstream-test-failures-123456789012-eu-west-1"
    )
    error_message = "Another name replaces a resource, and loses what it holds."
  }
}

run "one_guard_protects_api_and_pipeline" {
  assert {
    condition     = aws_dynamodb_table.guard.deletion_protection_enabled
    error_message = "Tables are protected from deletion by default."
  }
}

run "protection_can_be_lifted" {
  variables {
    deletion_protection = false
  }

  assert {
    condition     = !aws_dynamodb_table.guard.deletion_protection_enabled
    error_message = "deletion_protection must reach the guard."
  }
}

run "the_queue_is_an_output" {
  variables {
    failure_destination = "sqs"
  }

  assert {
    condition     = output.failures_queue_url == "https://sqs.eu-west-1.amazonaws.com/123456789012/backstream-test-failures"
    error_message = "The output must be the queue's URL."
  }
}

run "the_replayer_gets_the_endpoint_of_the_streams" {
  variables {
    create_vpc_endpoints = ["dynamodb", "dynamodb-streams", "lambda", "monitoring", "s3", "secretsmanager", "sqs", "ssm", "states"]
    failure_destination  = "sqs"
  }

  override_resource {
    target = module.vpc_endpoints.aws_vpc_endpoint.streams["dynamodb-streams"]
    values = { dns_entry = [{ dns_name = "vpce-1.streams.dynamodb.eu-west-1.vpce.amazonaws.com", hosted_zone_id = "Z1" }] }
  }

  assert {
    condition     = module.vpc_endpoints.streams_endpoint_url == "https://vpce-1.streams.dynamodb.eu-west-1.vpce.amazonaws.com"
    error_message = "DynamoDB Streams has no private DNS name."
  }
}

run "a_named_instance_gets_a_proxy" {
  variables {
    rds_instance_identifier = "legacy"
    rds_database            = "shop"
  }

  assert {
    condition     = module.pipeline.proxy_endpoint == "proxy.example"
    error_message = "Without create_rds_proxy a named instance decides."
  }
}

run "a_named_instance_may_do_without_a_proxy" {
  variables {
    create_rds_proxy        = false
    rds_instance_identifier = "legacy"
  }

  assert {
    condition     = module.pipeline.proxy_endpoint == null
    error_message = "create_rds_proxy decides."
  }
}
