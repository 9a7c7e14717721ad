"""What the consumer and the replayer share, read from the environment."""

from __future__ import annotations

from common import config
from common.database import ApplyOptions
from common.pipeline import PipelineSettings
from common.source import Source, Stream
from tests.support.records import ARN, STREAM

REQUIRED = {"STREAM_ARN": ARN, "FAILURES_BUCKET": "failures"}


def test_the_defaults_leave_the_statement_size_open():
    settings = config.load(PipelineSettings, REQUIRED)

    assert settings == PipelineSettings(
        stream_arn=ARN,
        generation=0,
        failures_bucket="failures",
        mirror_ttl_deletes=False,
        every_change=False,
        statement_bytes=None,
    )
    assert settings.apply_options == ApplyOptions()


def test_an_operator_may_set_each_of_them():
    chosen = {
        "STREAM_GENERATION": "3",
        "MIRROR_TTL_DELETES": "true",
        "APPLY_EVERY_CHANGE": "1",
        "MAX_STATEMENT_BYTES": "2000",
    }

    settings = config.load(PipelineSettings, REQUIRED | chosen)

    assert (settings.stream, settings.source) == (Stream(*STREAM), Source(STREAM.table_arn, 3))
    assert settings.mirror_ttl_deletes
    assert settings.apply_options == ApplyOptions(statement_bytes=2_000, every_change=True)


def test_an_empty_statement_size_lets_the_database_decide():
    """Terraform writes an unset variable as an empty one."""
    settings = config.load(PipelineSettings, REQUIRED | {"MAX_STATEMENT_BYTES": ""})

    assert settings.statement_bytes is None
