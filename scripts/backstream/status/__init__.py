"""The state of a deployment at one moment: reads it, judges it, shows it."""
