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
    load/<run>/          the working files and the report of one load; load/open.json names the run under way
    verify/<run>/        the same of a verification
    exports/<run>/       what DynamoDB exports for a verification of a window of time
    verified/            when each slice of the table was last verified, and when a repair last deleted rows
    repaired/            the keys of the items whose rows a verification has repaired
    seed/<run>/          the same of a seed
    seeded/              when each entity was last seeded
    prune/<run>/         the same of a prune

Terraform's lifecycle rules and policies name the same prefixes; a test compares them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
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
LOAD = "load/"
VERIFY = "verify/"
VERIFIED = "verified/"
REPAIRED = "repaired/"
EXPORTS = "exports/"
SEED = "seed/"
SEEDED = "seeded/"
PRUNE = "prune/"

PARKED = (QUARANTINE, DEFERRED)
SETTLED_BATCHES = f"{REPLAYED}{FAILED}"
# Where parked records wait, and where they are kept once they are settled or discarded. A record moves to the right.
EVER_PARKED = (*PARKED, *(f"{REPLAYED}{prefix}" for prefix in PARKED), DISCARDED)

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


def failed_at(batch: str) -> datetime | None:
    """When a batch failed, to the second, by the key of its object; None where the key does not tell.

    A key keeps its time wherever the object is moved. Lambda writes it as 2026-01-31T12.00.00, Hydrate with colons:
    https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
    """
    found = _is_dated(batch.rpartition("/")[2])
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2].replace('.', ':')}").replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


_is_dated = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d[.:]\d\d[.:]\d\d)", re.ASCII).match


# Parked records


def parked_key(prefix: str, key: str | None, version: str | None, digest: str) -> str:
    """`<prefix><entity>/<value>/<version>.json`; `digest` names a record whose key or version cannot be read.

    The longest text of a key makes a name of less than 1024 bytes, which is S3's limit.
    """
    if key is None:
        return f"{unreadable_folder(prefix)}{digest}.json"
    return f"{folder_of(key, prefix)}{version or digest}.json"


def unreadable_folder(prefix: str) -> str:
    """The folder of the parked records whose key cannot be read."""
    return f"{prefix}_unreadable/"


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


# The files of a walk over the table


def open_run_key(job: str) -> str:
    """What names the run of a job that is not finished. `job` is `load`, `verify`, `seed` or `prune`."""
    return f"{job}/open.json"


def verified_key(parts: int, mapping: str) -> str:
    """When each slice was last tried and found equal under a mapping, where the table is verified in so many slices."""
    return f"{VERIFIED}{parts:04d}-{mapping}.json"


def verified_parts(key: str, mapping: str) -> int:
    """The number of slices, from a `verified_key` of the mapping; 0 for any other key."""
    parts, _, rest = key.removeprefix(VERIFIED).partition("-")
    return int(parts) if rest == f"{mapping}.json" else 0


LAST_DELETION = f"{VERIFIED}deleted.json"


def repaired_key(time: int, name: str) -> str:
    """The keys of items whose rows were repaired. `time` is in epoch seconds, so the keys sort by it."""
    return f"{repaired_since(time)}-{name}.json"


def repaired_since(time: int) -> str:
    """A text before the key of every repair at `time` or later, and after all earlier ones."""
    return f"{REPAIRED}{time:010d}"


LAST_SEEDS = f"{SEEDED}last.json"


@dataclass(frozen=True, slots=True)
class RunKeys:
    """The keys under `<job>/<run>/`. Names that end in a slash are folders. Numbers are padded, so that keys sort."""

    job: str
    run: str

    @property
    def prefix(self) -> str:
        return f"{self.job}/{self.run}/"

    @property
    def start(self) -> str:
        """What the run was started with."""
        return f"{self.prefix}run.json"

    @property
    def report(self) -> str:
        return f"{self.prefix}report.json"

    @property
    def page(self) -> str:
        return f"{self.prefix}report.html"

    @property
    def ranges(self) -> str:
        """The ranges of the target tables that a verification or a seed walks through."""
        return f"{self.prefix}ranges.json"

    @property
    def cuts(self) -> str:
        """How far the target tables are cut into ranges."""
        return f"{self.prefix}cuts.json"

    @property
    def exports(self) -> str:
        """The exports that a verification of a window has started."""
        return f"{self.prefix}exports.json"

    @property
    def exported(self) -> str:
        """Whether a verification of a window reads exports, or why it reads the whole table."""
        return f"{self.prefix}exported.json"

    def exported_files(self, token: str) -> str:
        """The files of the exports."""
        return f"{self.prefix}exported-{token}.json"

    @property
    def export_folder(self) -> str:
        """The folder that DynamoDB exports to, without a slash at its end. Its files hold items, and expire early."""
        return f"{EXPORTS}{self.run}"

    @property
    def lanes(self) -> str:
        return f"{self.prefix}lanes/"

    def lane(self, stage: int, lane: int) -> str:
        """How far a lane is in a stage."""
        return f"{self.lanes_of(stage)}{lane:02d}.json"

    def lanes_of(self, stage: int) -> str:
        """The prefix of the lanes of a stage."""
        return f"{self.lanes}{stage:04d}-"

    def waiting(self, stage: int) -> str:
        """The folder of the keys that `stage` goes through."""
        return f"{self.prefix}waiting/{stage:04d}/"

    def waiting_part(self, stage: int, lane: int, name: str) -> str:
        return f"{self.waiting(stage)}{lane:02d}-{name}.json"

    def spills(self, kind: str, partition: int) -> str:
        """The folder of the keys of one side, `items` or `rows`, in a partition."""
        return f"{self.prefix}keys/{kind}/{partition:05d}/"

    def spilled(self, kind: str, partition: int, lane: int, name: str) -> str:
        return f"{self.spills(kind, partition)}{lane:02d}-{name}"

    @property
    def problems(self) -> str:
        return f"{self.prefix}problems/"

    def problems_part(self, stage: int, lane: int, name: str) -> str:
        return f"{self.problems}{stage:04d}-{lane:02d}-{name}.json"


def export_manifest(folder: str, export: str, name: str) -> str:
    """A manifest of an export, which is named by the last part of its ARN.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
    """
    return f"{folder}/AWSDynamoDB/{export}/manifest-{name}.json"


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
