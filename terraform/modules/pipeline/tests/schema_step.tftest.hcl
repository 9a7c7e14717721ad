# What the schema step answers. Without an AWS account.

mock_provider "aws" {
  source = "../../tests/mocks"
}

override_resource {
  target = aws_lambda_invocation.schema
  values = { result = "{\"target\": \"fits\", \"sidecar\": \"fits\", \"source\": \"known\", \"warnings\": [\"sync_binlog is 0\"]}" }
}

variables {
  # alarms.tftest.hcl tests these. Without them a run takes a quarter less time.
  create_alarms    = false
  create_dashboard = false

  env      = "test"
  pipeline = null
  vpc_id   = "vpc-1"
  table = {
    name          = "backstream-test-orders"
    partition_key = { name = "p_key" }
    sort_key      = { name = "s_key" }
    ttl_attribute = "record_ttl"
  }
  rds_sg_id                 = "sg-database"
  rds_secret_arn            = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mysql-AbCdEf"
  rds_connection_param_name = "/test/mysql"
  lambda_zips               = { folder = "../../tests/fixture" }
}

run "the_warnings_of_the_schema_step_are_an_output" {
  assert {
    condition     = output.schema_step_warnings == tolist(["sync_binlog is 0"])
    error_message = "The output has what the schema step has found."
  }
}
