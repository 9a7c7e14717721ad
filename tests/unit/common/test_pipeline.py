"""What the consumer and the replayer share, read from the environment."""

from __future__ import annotations

import pytest

from common import config, mapping
from common.database import ApplyOptions
from common.pipeline import PipelineSettings, SourceSettings
from common.source import Source, Stream
from tests.support.records import ARN, STREAM

REQUIRED = {"STREAM_ARN": ARN, "FAILURES_BUCKET": "failures"}


def test_the_defaults_leave_the_statement_size_open():
    settings = config.load(PipelineSettings, REQUIRED)

    assert settings == PipelineSettings(
        mapping_name="orders",
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
    assert settings.apply_options == ApplyOptions(every_change=True)
    assert settings.statement_bytes == 2_000


def test_an_empty_statement_size_lets_the_database_decide():
    """Terraform writes an unset variable as an empty one."""
    settings = config.load(PipelineSettings, REQUIRED | {"MAX_STATEMENT_BYTES": ""})

    assert settings.statement_bytes is None


@pytest.mark.parametrize("cls", [SourceSettings, PipelineSettings])
def test_the_mapping_is_the_one_that_is_named(cls: type[SourceSettings]):
    assert config.load(cls, REQUIRED).load_mapping() == mapping.load("orders")
    assert config.load(cls, REQUIRED | {"MAPPING": "shop-2"}).mapping_name == "shop-2"


def test_expiries_are_mirrored_where_the_operator_says_so():
    settings = config.load(PipelineSettings, REQUIRED | {"MIRROR_TTL_DELETES": "true"})

    assert settings.load_mapping() == mapping.load("orders").mirroring_expiry() != mapping.load("orders")


@pytest.mark.parametrize("name", ["Shop", "../orders", "a" * 32, "-", "é"])
def test_a_name_that_no_mapping_can_have_is_refused(name: str):
    with pytest.raises(config.ConfigError, match="MAPPING must be the name of a mapping"):
        config.load(SourceSettings, REQUIRED | {"MAPPING": name})
