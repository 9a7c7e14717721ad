"""The operator's tool: what a person does with a deployed stack from a terminal."""
