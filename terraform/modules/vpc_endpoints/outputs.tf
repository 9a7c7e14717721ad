output "endpoint_ids" {
  description = "Ids of the endpoints. Give them to schema_step_waits_for of a pipeline, so that its schema step runs after them."
  value = concat(
    [for endpoint in aws_vpc_endpoint.interface : endpoint.id],
    [for endpoint in aws_vpc_endpoint.gateway : endpoint.id],
    [for endpoint in aws_vpc_endpoint.streams : endpoint.id],
    [for rule in aws_vpc_security_group_ingress_rule.endpoints : rule.id],
  )
}

output "streams_endpoint_url" {
  description = "URL of the endpoint of DynamoDB Streams, which has no private DNS name. Give it to streams_endpoint_url of a pipeline. Null without that endpoint."
  value       = one([for endpoint in aws_vpc_endpoint.streams : "https://${endpoint.dns_entry[0].dns_name}"])
}

output "security_group_id" {
  description = "Security group of the interface endpoints. Null without them."
  value       = one([for group in aws_security_group.endpoints : group.id])
}
