"""The settings that the functions of a pipeline share: where changes come from and how they are applied."""

from __future__ import annotations

import re
from dataclasses import dataclass

from common import config, mapping
from common.database import ApplyOptions
from common.mapping import Mapping
from common.mapping_file import MAPPING_NAME
from common.source import HIGHEST_GENERATION, Source, Stream, parse_stream

_is_name = re.compile(MAPPING_NAME, re.ASCII).fullmatch


def _mapping_name(value: str) -> str:
    if not _is_name(value):
        raise ValueError("must be the name of a mapping: lower-case letters, digits, _ and -, at most 31")
    return value


def _stream_arn(value: str) -> str:
    parse_stream(value)
    return value


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """Where the changes come from, and the mapping that they follow."""

    mapping_name: str = config.env("MAPPING", _mapping_name, default="orders")
    stream_arn: str = config.env("STREAM_ARN", _stream_arn)
    generation: int = config.env("STREAM_GENERATION", config.integer(0, HIGHEST_GENERATION), default=0)

    @property
    def stream(self) -> Stream:
        return parse_stream(self.stream_arn)

    @property
    def source(self) -> Source:
        return Source(self.stream.table_arn, self.generation)

    def load_mapping(self) -> Mapping:
        return mapping.load(self.mapping_name)


@dataclass(frozen=True, kw_only=True)
class DeployedSettings(SourceSettings):
    """The mapping as the pipeline uses it, and the bucket that holds its state."""

    failures_bucket: str = config.env("FAILURES_BUCKET")
    mirror_ttl_deletes: bool = config.env("MIRROR_TTL_DELETES", config.flag, default=False)

    def load_mapping(self) -> Mapping:
        loaded = super().load_mapping()
        return loaded.mirroring_expiry() if self.mirror_ttl_deletes else loaded


@dataclass(frozen=True, kw_only=True)
class PipelineSettings(DeployedSettings):
    """What consumer, replayer and reconciler share. `statement_bytes` is None where the database decides."""

    every_change: bool = config.env("APPLY_EVERY_CHANGE", config.flag, default=False)
    statement_bytes: int | None = config.env("MAX_STATEMENT_BYTES", config.integer(1_000, 16_000_000), default=None)

    @property
    def apply_options(self) -> ApplyOptions:
        return ApplyOptions(every_change=self.every_change)
