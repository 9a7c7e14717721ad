"""The settings that the functions of a pipeline share: where changes come from and how they are applied."""

from __future__ import annotations

from dataclasses import dataclass

from common import config
from common.database import ApplyOptions
from common.source import HIGHEST_GENERATION, Source, Stream, parse_stream


def _stream_arn(value: str) -> str:
    parse_stream(value)
    return value


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """Whose changes are written."""

    stream_arn: str = config.env("STREAM_ARN", _stream_arn)
    generation: int = config.env("STREAM_GENERATION", config.integer(0, HIGHEST_GENERATION), default=0)

    @property
    def stream(self) -> Stream:
        return parse_stream(self.stream_arn)

    @property
    def source(self) -> Source:
        return Source(self.stream.table_arn, self.generation)


@dataclass(frozen=True, kw_only=True)
class PipelineSettings(SourceSettings):
    """What the consumer and the replayer share. `statement_bytes` is None where the database decides."""

    failures_bucket: str = config.env("FAILURES_BUCKET")
    mirror_ttl_deletes: bool = config.env("MIRROR_TTL_DELETES", config.flag, default=False)
    every_change: bool = config.env("APPLY_EVERY_CHANGE", config.flag, default=False)
    statement_bytes: int | None = config.env("MAX_STATEMENT_BYTES", config.integer(1_000, 16_000_000), default=None)

    @property
    def apply_options(self) -> ApplyOptions:
        return ApplyOptions(every_change=self.every_change)
