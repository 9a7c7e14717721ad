"""Reading the files of an export: all of their keys, or an error that names the file."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import bucket as bucket_module
from common.bucket import Bucket
from reconciler.verify import exported
from reconciler.verify.exported import DamagedExportError, ExportedFile, files_of, keys_of
from tests.support.aws import S3

NAMES = ("p_key", "s_key")
FILE = "exports/r/AWSDynamoDB/data/a.json.gz"
FOLDER = "exports/r/AWSDynamoDB/01-a"


def stored(**objects: bytes) -> Bucket:
    s3 = S3()
    s3.objects = dict(objects)
    return Bucket(s3, "b")


def key(text: str) -> dict[str, Any]:
    return {"p_key": {"S": text}, "s_key": {"S": "ORDER"}}


def line(item_key: Any, **images: Any) -> bytes:
    return json.dumps({"Metadata": {"WriteTimestampMicros": {"N": "1"}}, "Keys": item_key, **images}).encode() + b"\n"


def read(content: bytes, items: int, skip: int = 0) -> list[Any]:
    return list(keys_of(stored(**{FILE: content}), ExportedFile(FILE, items), NAMES, skip))


def test_inserts_changes_and_deletes_have_their_keys() -> None:
    """A delete has no image. Numbers and binary keys stay as DynamoDB writes them."""
    keys = [key("a"), key("b"), {"p_key": {"N": "007.0"}, "s_key": {"B": "AAE="}}]
    images = [{"NewImage": key("a")}, {}, {"NewImage": key("c"), "OldImage": key("c")}]
    content = b"".join(line(one, **image) for one, image in zip(keys, images, strict=True))
    assert read(gzip.compress(content), 3) == keys
    assert read(gzip.compress(content[:-1]), 3) == keys
    assert read(gzip.compress(content[:10]) + gzip.compress(content[10:]), 3) == keys
    assert read(gzip.compress(content), 3, skip=2) == keys[2:]
    assert read(gzip.compress(content), 3, skip=3) == []


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=20), st.data())
def test_any_keys_are_read_in_any_blocks(texts: list[str], data: Any) -> None:
    """However a file is cut into requests and blocks, and wherever a call goes on."""
    keys = list(map(key, texts))
    content = gzip.compress(b"".join(map(line, keys)))
    skip = data.draw(st.integers(0, len(keys)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bucket_module, "_RANGE", data.draw(st.integers(1, 60)))
        patched.setattr(exported, "_BLOCK", data.draw(st.integers(1, 60)))
        assert read(content, len(keys), skip) == keys[skip:]


@pytest.mark.parametrize("at", range(0, 60, 7))
def test_a_file_that_was_cut_off_is_damaged(at: int) -> None:
    """Wherever it was: no key is left out silently."""
    content = gzip.compress(line(key("a")) + line(key("b")))
    with pytest.raises(DamagedExportError, match=r"a\.json\.gz, a file .* (was cut off|it is empty): start the verif"):
        read(content[:at], 2)


def test_a_changed_byte_is_damage() -> None:
    content = bytearray(gzip.compress(line(key("a"))))
    content[-5] ^= 1
    with pytest.raises(DamagedExportError, match="is not a valid gzip file"):
        read(bytes(content), 1)
    with pytest.raises(DamagedExportError, match="is not a valid gzip file"):
        read(gzip.compress(line(key("a"))) + b"tail", 1)


@pytest.mark.parametrize(
    "text",
    [
        b'{"Item": {}}\n', b"[]\n", b"{\n", b"\xff\n", b"\n", line(None), line({"p_key": {"S": "a"}}), line("p_key"),
        line(key("a") | {"more": {"S": "a"}}), line(key("a") | {"p_key": {"BOOL": True}}),
        line(key("a") | {"p_key": {"S": 1}}), line(key("a") | {"p_key": {"SS": "a"}}),
        line(key("a") | {"p_key": {}}), line(key("a") | {"p_key": "a"}),
        line(key("a") | {"p_key": {"S": "a", "N": "1"}}), b"[" * 100_000 + b"\n",
    ],
)  # fmt: skip
def test_a_line_without_a_key_is_damage(text: bytes) -> None:
    with pytest.raises(DamagedExportError, match="has a line"):
        read(gzip.compress(text), 1)


@pytest.mark.parametrize("items", [0, 1, 3])
def test_another_number_of_items_is_damage(items: int) -> None:
    """The manifest says how many there are."""
    with pytest.raises(DamagedExportError, match=f"holds 2 items, and its manifest says {items}"):
        read(gzip.compress(line(key("a")) + line(key("b"))), items)


def test_a_file_may_be_refused_or_gone() -> None:
    bucket = stored(**{FILE: b""})
    bucket.s3.refusals[FILE] = "AccessDenied"
    with pytest.raises(DamagedExportError, match="S3 refuses it with AccessDenied"):
        list(keys_of(bucket, ExportedFile(FILE, 1), NAMES))
    with pytest.raises(DamagedExportError, match="is not there"):
        list(keys_of(stored(), ExportedFile(FILE, 1), NAMES))


def test_a_large_file_takes_little_memory() -> None:
    """It is decompressed a block at a time."""
    content = gzip.compress(b"".join(line(key(f"{n}"), NewImage={"v": {"S": "x" * 1_000}}) for n in range(40_000)))
    bucket = stored(**{FILE: content})
    tracemalloc.start()
    keys = keys_of(bucket, ExportedFile(FILE, 40_000), NAMES)
    assert len(list(islice(keys, 39_999))) == 39_999
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 40_000_000


# Manifests


def manifests(listed: list[dict[str, Any]], total: Any) -> Bucket:
    files = b"".join(json.dumps(one).encode() + b"\n" for one in listed)
    return stored(
        **{
            f"{FOLDER}/manifest-files.json": files,
            f"{FOLDER}/manifest-summary.json": json.dumps({"itemCount": total}).encode(),
        }
    )


def entry(items: Any, name: Any = FILE) -> dict[str, Any]:
    return {"itemCount": items, "md5Checksum": "", "etag": "", "dataFileS3Key": name}


def test_files_without_items_are_not_read() -> None:
    """An export has a file for each partition of the table."""
    other = FILE.replace("a.json", "b.json")
    bucket = manifests([entry(0, f"{FILE}0"), entry(2), entry(3, other)], 5)
    assert files_of(bucket, "exports/r", "01-a") == [(FILE, 2), (other, 3)]
    assert files_of(manifests([entry(0)], 0), "exports/r", "01-a") == []


@pytest.mark.parametrize(
    ("listed", "total", "problem"),
    [
        ([entry(2)], 3, "names files of 2 items, and the export has 3"),
        ([entry(2, "verify/r/a.json.gz")], 2, "names a file outside of its folder"),
        ([entry(2, "exports/r2/a.json.gz")], 2, "names a file outside of its folder"),
        ([entry(2, None)], 2, "names a file outside of its folder"),
        ([entry("2")], 2, "has no itemCount"),
        ([entry(True)], 1, "has no itemCount"),
        ([entry(-1), entry(1)], 0, "has no itemCount"),
        ([entry(2)], None, "manifest-summary.json, a file that DynamoDB has exported, has no itemCount"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_damage(listed: list[Any], total: Any, problem: str) -> None:
    with pytest.raises(DamagedExportError, match=problem):
        files_of(manifests(listed, total), "exports/r", "01-a")


@pytest.mark.parametrize("name", ["files", "summary"])
def test_a_manifest_that_is_gone_is_damage(name: str) -> None:
    bucket = manifests([entry(2)], 2)
    del bucket.s3.objects[f"{FOLDER}/manifest-{name}.json"]
    with pytest.raises(DamagedExportError, match=f"manifest-{name}.json, a file that .* is not there"):
        files_of(bucket, "exports/r", "01-a")


def test_an_empty_manifest_names_no_files() -> None:
    """S3 refuses a range of an empty object. The number of items is that of the summary all the same."""
    assert files_of(manifests([], 0), "exports/r", "01-a") == []
    with pytest.raises(DamagedExportError, match="names files of 0 items, and the export has 2"):
        files_of(manifests([], 2), "exports/r", "01-a")
