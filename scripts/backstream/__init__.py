"""The operator's tool: what a person does with a deployment from a terminal. Installed as `backstream`."""

__version__ = "0.1.0"
