# The dashboard, from top to bottom: is anything ringing, is it keeping up, what has failed, what is the database doing,
# and what does it cost. Titles are the questions that each widget answers.

locals {
  dashboards = var.create_dashboard ? { pipeline = local.prefix } : {}

  dashboard_rows = concat(
    local.dashboard_head,
    [{ height = 1, widgets = [local.dashboard_sections.keeping_up] }],
    [{ height = 6, widgets = local.keeping_up_widgets }],
    [{ height = 1, widgets = [local.dashboard_sections.failed] }],
    [{ height = 6, widgets = slice(local.failed_widgets, 0, 3) }],
    [{ height = 6, widgets = slice(local.failed_widgets, 3, 6) }],
    [{ height = 1, widgets = [local.dashboard_sections.database] }],
    [{ height = 6, widgets = local.database_widgets }],
    [{ height = 1, widgets = [local.dashboard_sections.cost] }],
    [{ height = 6, widgets = local.cost_widgets }],
  )

  dashboard_sections = {
    for section, question in {
      keeping_up = "Is it keeping up?"
      failed     = "What has failed?"
      database   = "What is the database doing?"
      cost       = "What does it cost?"
    } : section => { type = "text", properties = { markdown = "## ${question}" } }
  }
}

resource "aws_cloudwatch_dashboard" "pipeline" {
  for_each = local.dashboards

  dashboard_name = each.value
  dashboard_body = jsonencode({
    start          = "-PT3H"
    periodOverride = "inherit" # the period of each widget, whatever time is shown
    # The widgets of a row share the 24 columns. A row stands below the rows before it.
    widgets = flatten([
      for row, content in local.dashboard_rows : [
        for place, widget in content.widgets : {
          type       = widget.type
          x          = place * floor(24 / length(content.widgets))
          y          = sum(concat([0], slice(local.dashboard_rows[*].height, 0, row)))
          width      = floor(24 / length(content.widgets))
          height     = content.height
          properties = widget.properties
        }
      ]
    ])
  })
}
