# Alarms for the functions, the table, the RDS Proxy and the monitor itself.

locals {
  proxy_name = var.create_rds_proxy ? "${local.prefix}-mysql" : var.rds_proxy_name

  of_proxy = {
    on         = local.proxy_name != null
    namespace  = "AWS/RDS"
    dimensions = { ProxyName = local.proxy_name }
    heading    = "connections-of-the-rds-proxy"
  }
  # An alarm on a metric of DynamoDB keeps its state while data is missing, whatever is asked of it, and a table that is
  # not throttled emits none. FILL ends the alarm.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
  of_table = {
    namespace  = "AWS/DynamoDB"
    dimensions = { TableName = local.table_name }
    expression = "FILL(throttled, 0)"
    periods    = 3
    datapoints = 2
    heading    = "throttling"
  }

  platform_alarms = merge(
    {
      for function, name in local.function_names : "warning-throttled-${replace(function, "_", "-")}" => {
        namespace  = "AWS/Lambda"
        metric     = "Throttles"
        dimensions = { FunctionName = name }
        periods    = 3
        datapoints = 2
        means      = "Lambda refuses calls of ${name}, because no concurrency is left. They are tried again."
        do         = "Raise the reserved concurrency of the function or the quota of the account."
        heading    = "throttling"
      } if function != "schema" # called by an apply only, which fails
    },
    {
      warning-throttled-reads = merge(local.of_table, {
        metrics = { throttled = "ReadThrottleEvents" }
        means   = "DynamoDB throttles reads of the table."
        do      = "Lower the rate of a load or verification that runs, or raise the capacity of the table."
      })
      warning-throttled-writes = merge(local.of_table, {
        metrics = { throttled = "WriteThrottleEvents" }
        means   = "DynamoDB throttles writes of the table: clients get errors."
        do      = "Lower the rate of a seed that runs, or raise the capacity of the table."
      })
      warning-proxy-connections = merge(local.of_proxy, {
        periods    = 3
        datapoints = 3
        expression = "100 * open / allowed"
        metrics    = { open = "DatabaseConnections", allowed = "MaxDatabaseConnectionsAllowed" }
        threshold  = var.alarms.proxy_connections_percent
        means      = "The RDS Proxy uses more than ${var.alarms.proxy_connections_percent} % of the database connections that it may open."
        do         = "Lower replay_concurrency or load_concurrency, or raise rds_proxy_max_connections_percent."
      })
      warning-proxy-borrow = merge(local.of_proxy, {
        metric     = "DatabaseConnectionsBorrowLatency" # in microseconds
        statistic  = "Average"
        periods    = 3
        datapoints = 3
        threshold  = var.alarms.proxy_borrow_milliseconds * 1000
        means      = "The RDS Proxy takes longer than ${var.alarms.proxy_borrow_milliseconds} ms to get a database connection."
        do         = "Find out who holds the connections, and whether sessions are pinned."
      })
      page-monitor-silent = {
        risk       = true
        metric     = "mapping_enabled"
        dimensions = local.of_service.monitor
        statistic  = "SampleCount"
        comparison = "LessThanThreshold"
        threshold  = 1
        periods    = 3
        datapoints = 3
        missing    = "breaching" # the monitor emits this each minute: no data means that nobody watches
        means      = "The monitor has emitted nothing for 15 minutes. The alarms for what waits and for the time that is left are blind."
        do         = "Read the monitor's log, and whether its schedule is enabled."
        heading    = "a-silent-monitor"
      }
      warning-monitor-errors = {
        namespace  = "AWS/Lambda"
        metric     = "Errors"
        dimensions = { FunctionName = local.function_names.monitor }
        periods    = 3
        datapoints = 2
        means      = "Calls of the monitor fail. Gauges may be missing."
        do         = "Read the error in the monitor's log."
        heading    = "a-silent-monitor"
      }
    },
  )
}
