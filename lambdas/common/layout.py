"""Every key of the failures bucket. No other module spells one.

    aws/lambda/          failed batches, written by the event source mapping
    aws/lambda/hydrated/ failed batches that a replay made of queue messages
    quarantine/          parked records that wait for a person
    deferred/            parked records that every replay tries again
    unfinished/          what the consumer parked of a batch that did not fit one invocation
    expired/             ranges that the stream had trimmed before their message was read
    replayed/            settled batches, under their former key
    replayed/discarded/  parked records that a person discarded
    replay/<execution>/  the working files and the report of one replay

Terraform's lifecycle rules and policies name the same prefixes; a test compares them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import quote, unquote

from common.keys import entity_and_tail, key_text

FAILED = "aws/lambda/"
HYDRATED = f"{FAILED}hydrated/"
QUARANTINE = "quarantine/"
DEFERRED = "deferred/"
UNFINISHED = "unfinished/"
EXPIRED = "expired/"
REPLAYED = "replayed/"
DISCARDED = f"{REPLAYED}discarded/"
REPLAY = "replay/"

PARKED = (QUARANTINE, DEFERRED)

# The split of the records that could not be read as a change.
UNREADABLE = -1
_UNREADABLE_LABEL = "poison"
# Version 0.1 had this entity only. It named a folder after the item's key, without its entity.
_FORMER_ENTITY = "order"
_LONGEST_FORMER_NAME = 200


# Batches


def settled_key(source: str) -> str:
    """Where a batch or a parked record goes when it is settled."""
    return REPLAYED + source


def message_key(folder: str, shard: str, failed_at: str, message_id: str) -> str:
    """The prefix of all keys that are made of one queue message."""
    return f"{folder}{shard}/{failed_at or 'undated'}-{message_id}"


def hydrated_key(message: str, first: str, count: int) -> str:
    """`message` is its `message_key`; `first`, a sequence number, and `count` state what the object holds."""
    return f"{message}-{first}-{count}"


def expired_key(message: str) -> str:
    return f"{message}.json"


# Parked records


def parked_key(prefix: str, key: str | None, version: str | None, digest: str) -> str:
    """`<prefix><entity>/<value>/<version>.json`; `digest` names a record whose key or version cannot be read.

    The longest text of a key makes a name of less than 1024 bytes, which is S3's limit.
    """
    if key is None:
        return f"{prefix}_unreadable/{digest}.json"
    return f"{folder_of(key, prefix)}{version or digest}.json"


def folder_of(key: str, prefix: str) -> str:
    """The folder of the parked records of `key`, which is a text as `common.keys` makes it."""
    entity, tail = entity_and_tail(key)
    if not entity:
        return former_folder(key, prefix)
    # Tools take a folder named by dots alone for a relative path.
    folder = _quoted(tail) if tail.strip(".") else tail.replace(".", "%2E")
    return f"{prefix}{entity}/{folder}/"


def former_folder(key: str, prefix: str) -> str:
    """The folder that version 0.1 gave to `key`, which is the key of an order or its text.

    A long key was cut and ended in its digest.
    """
    entity, tail = entity_and_tail(key)
    if entity == _FORMER_ENTITY:
        key = unquote(tail)
    folder = _quoted(key) or "_empty"
    if len(folder) > _LONGEST_FORMER_NAME:
        folder = folder[:_LONGEST_FORMER_NAME] + "-" + hashlib.sha256(key.encode(errors="replace")).hexdigest()[:16]
    return f"{prefix}{folder}/"


def current_key(key: str) -> str:
    """The text of `key`, which may be the key of an order, as version 0.1 named it."""
    return key if "/" in key else key_text(_FORMER_ENTITY, [key])


def key_with_value(parked: str, value: str) -> str | None:
    """The key of the object `parked`, if `value` is all that follows its entity."""
    prefix, entity, *_ = parked.split("/")
    key = key_text(entity, [value])
    return key if parked.startswith(folder_of(key, f"{prefix}/")) else None


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="replace")


def is_parked(key: str) -> bool:
    return key.startswith(PARKED)


def discarded_key(parked: str) -> str:
    """Where a parked record goes when a person discards it."""
    return DISCARDED + parked.partition("/")[2]


def unfinished_key(digest: str) -> str:
    """`digest` is that of the batch's first record."""
    return f"{UNFINISHED}{digest}.json"


# A replay's own files


@dataclass(frozen=True, slots=True)
class ReplayKeys:
    """The keys under `replay/<execution>/`. Names that end in a slash are folders.

    The number of a part or a split is padded, so that keys sort as numbers.
    """

    execution: str

    @property
    def prefix(self) -> str:
        return f"{REPLAY}{self.execution}/"

    @property
    def start(self) -> str:
        """What the replay was started with."""
        return f"{self.prefix}run.json"

    @property
    def report(self) -> str:
        return f"{self.prefix}report.json"

    @property
    def page(self) -> str:
        return f"{self.prefix}report.html"

    @property
    def hydrated(self) -> str:
        """The folder of the batches that a dry run made of queue messages."""
        return f"{self.prefix}hydrated/"

    @property
    def expired(self) -> str:
        """The folder of the expired ranges that a dry run found."""
        return f"{self.prefix}{EXPIRED}"

    @property
    def problems(self) -> str:
        return f"{self.prefix}problems/"

    @property
    def hydrate_problems(self) -> str:
        return f"{self.problems}hydrate.json"

    def collect_problems(self, part: str) -> str:
        return f"{self.problems}collect-{part}.json"

    def settle_problems(self, part: str) -> str:
        return f"{self.problems}settle-{part}.json"

    @property
    def manifests(self) -> str:
        return f"{self.prefix}manifest/"

    def manifest(self, part: str) -> str:
        """The batches of a part."""
        return f"{self.manifests}{part}.json"

    @property
    def unreadables(self) -> str:
        return f"{self.prefix}poison/"

    def unreadable(self, part: str) -> str:
        """The records of a part that could not be read as a change."""
        return f"{self.unreadables}{part}.json"

    def segments(self, split: int) -> str:
        return f"{self.prefix}splits/{split_label(split)}/"

    def segment(self, split: int, part: str) -> str:
        return f"{self.segments(split)}{part}.jsonl"

    def progress(self, split: int) -> str:
        """How far a split is drained."""
        return f"{self.prefix}begun/{split_label(split)}.json"

    @property
    def results(self) -> str:
        return f"{self.prefix}done/"

    def result(self, split: int) -> str:
        """What became of a split; written when all of it is drained."""
        return f"{self.results}{split_label(split)}.json"

    def names(self, file: str) -> str:
        """The names of parked records; `file` is what `names_file` gives."""
        return f"{self.prefix}named/{file}.json"


def part_label(number: int) -> str:
    return f"{number:06d}"


def part_of(key: str) -> str:
    """The label of a part, from the key of its manifest, of its unreadable records or of any of its segments."""
    return key.rpartition("/")[2].partition(".")[0]


def split_label(split: int) -> str:
    return _UNREADABLE_LABEL if split == UNREADABLE else f"{split:05d}"


def split_of_result(key: str) -> int:
    """The split, from the key of its result."""
    label = key.rpartition("/")[2].removesuffix(".json")
    return UNREADABLE if label == _UNREADABLE_LABEL else int(label)


def names_file(split: int, part: str, token: str) -> str:
    """`part` is empty, except for the names of unreadable records, which are stored by part."""
    return f"{split_label(split)}/{part}-{token}"


def may_name(file: str, split: int, part: str) -> bool:
    """Whether a file of names may name a batch of `part`."""
    return split != UNREADABLE or file.startswith(f"{split_label(split)}/{part}-")
