"""Reads what DynamoDB has exported of a window: manifests, and gzipped lines of which only the keys are needed.

A file that is missing or damaged stops the verification: without it, changes would be left out.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from common.bucket import Bucket, GoneError, UnreadableError, lines_of
from common.layout import export_manifest
from common.raw_items import Item
from reconciler.run import LostFileError

# What a file is decompressed to at a time. An item has at most 400 KB, and its line is little longer.
_BLOCK = 1024 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_KEY_TYPES = ("S", "N", "B")


class ExportedFile(NamedTuple):
    """The key of an object, and how many items it holds."""

    key: str
    items: int


class DamagedExportError(LostFileError):
    """A file of an export cannot be used."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(
            f"{key}, a file that DynamoDB has exported, {problem}: start the verification again, which exports the"
            " window anew"
        )


def files_of(bucket: Bucket, folder: str, export: str) -> list[ExportedFile]:
    """The files of an export that hold items. Raises DamagedExportError."""
    summary, manifest = (export_manifest(folder, export, name) for name in ("summary", "files"))
    is_empty = any(entry.key == manifest and not entry.size for entry in bucket.entries(manifest))
    # S3 refuses a range of an empty object.
    lines = () if is_empty else _read(manifest, bucket.lines(manifest))
    listed = [_listed(line, folder, manifest) for line in lines]
    total = _number(_object(b"".join(_read(summary, bucket.blocks(summary))), summary), "itemCount", summary)
    found = sum(file.items for file in listed)
    if found != total:
        raise DamagedExportError(manifest, f"names files of {found} items, and the export has {total}")
    return [file for file in listed if file.items]


def keys_of(bucket: Bucket, file: ExportedFile, names: Sequence[str], skip: int = 0) -> Iterator[Item]:
    """The keys of the items of a file behind the first `skip`. `names` are the attributes of a key.

    Raises DamagedExportError, for a wrong number of items only at the end.
    """
    count = 0
    for line in lines_of(_decompressed(file.key, _read(file.key, bucket.blocks(file.key)))):
        count += 1
        if count > skip:
            yield _key(line, names, file.key)
    if count != file.items:
        raise DamagedExportError(file.key, f"holds {count} items, and its manifest says {file.items}")


def _read(key: str, content: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from content
    except GoneError:
        raise DamagedExportError(key, "is not there") from None
    except UnreadableError as error:
        raise DamagedExportError(key, f"cannot be read: {error}") from None


def _decompressed(key: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """In blocks of bounded size. A gzip file may have several members."""
    stream = zlib.decompressobj(_GZIP)
    try:
        for block in blocks:
            held = block
            while held:
                if stream.eof:
                    stream = zlib.decompressobj(_GZIP)
                yield stream.decompress(held, _BLOCK)
                held = stream.unused_data if stream.eof else stream.unconsumed_tail
    except zlib.error:
        raise DamagedExportError(key, "is not a valid gzip file") from None
    if not stream.eof:
        raise DamagedExportError(key, "was cut off")


def _listed(line: bytes, folder: str, manifest: str) -> ExportedFile:
    found = _object(line, manifest)
    key = found.get("dataFileS3Key")
    if not isinstance(key, str) or not key.startswith(f"{folder}/"):
        raise DamagedExportError(manifest, "names a file outside of its folder")
    return ExportedFile(key, _number(found, "itemCount", manifest))


def _number(found: dict[str, Any], name: str, key: str) -> int:
    number = found.get(name)
    if type(number) is not int or number < 0:
        raise DamagedExportError(key, f"has no {name}")
    return number


def _key(line: bytes, names: Sequence[str], file: str) -> Item:
    keys = _object(line, file).get("Keys")
    if not isinstance(keys, dict) or sorted(keys) != sorted(names) or not all(map(_is_key, keys.values())):
        raise DamagedExportError(file, "has a line without the key of an item")
    return keys


def _is_key(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) == 1
        and all(kind in _KEY_TYPES and isinstance(content, str) for kind, content in value.items())
    )


def _object(text: bytes, key: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise DamagedExportError(key, "has a line that is not a JSON object")
    return found
