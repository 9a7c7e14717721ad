"""docs/configuration.md is generated from Terraform's variables and the functions' settings classes."""

from __future__ import annotations

from scripts.generators import configuration
from scripts.generators.hcl import TERRAFORM, blocks, sections
from scripts.generators.settings_classes import settings_of


def test_docs_of_the_configuration_are_current() -> None:
    """`python -m scripts.generators.configuration` writes them."""
    assert configuration.OUTPUT.read_text() == configuration.render()


def test_every_variable_is_documented_once() -> None:
    lines = configuration.render().splitlines()
    variables = blocks("variable", folder=TERRAFORM)
    assert [lines.count(f"### `{block.labels[0]}`") for block in variables] == [1] * len(variables)


def test_a_variable_belongs_to_the_comment_above_it() -> None:
    """A comment directly above a block describes the block, and starts no section."""
    text = '# One\n\nvariable "a" {\n}\n\n# about b\nvariable "b" {\n}\n\n# Two\n\nvariable "c" {\n}\n'
    assert sections(text) == {"a": "One", "b": "One", "c": "Two"}


def test_settings_of_base_classes_are_found() -> None:
    """The classes of consumer, replayer and reconciler add little to those that they extend."""
    shared = {"STREAM_ARN", "FAILURES_BUCKET", "MYSQL_TLS"}
    assert shared < set(settings_of("stream_consumer.handler.handler"))
    assert shared < set(settings_of("dlq_replayer.handler.handler"))
    assert {"STREAM_ARN", "FAILURES_BUCKET"} < set(settings_of("monitor.handler.handler"))
    assert shared < set(settings_of("reconciler.handler.handler"))


def test_settings_of_another_function_are_left_out() -> None:
    """Consumer and schema step are in one package, and read different variables."""
    assert "FAILURES_BUCKET" not in settings_of("stream_consumer.schema_step.handler")
    assert set(settings_of("api.authorizer.handler")) == {"API_SECRET_ARN"}


def test_a_value_names_the_variables_behind_a_local() -> None:
    (replayer,) = blocks("resource", "aws_lambda_function", "dlq_replayer")
    wait = configuration.environment_of(replayer)["REPLAY_DATABASE_WAIT_SECONDS"]
    assert configuration.variables_in(wait, replayer.folder) == ["auto_replay", "replay_database_wait_seconds"]
    bucket = configuration.environment_of(replayer)["FAILURES_BUCKET"]
    assert configuration.variables_in(bucket, replayer.folder) == []
