"""The bill of materials of a build, as CycloneDX 1.6: the zips, and the third-party distributions in them."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.utils import canonicalize_name

FILE_NAME = "sbom.cdx.json"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "backstream.invalid")
# Licences whose names in metadata are no SPDX identifiers.
_SPDX = {"Apache License 2.0": "Apache-2.0"}


@dataclass(frozen=True)
class BuiltZip:
    """A zip, and the SHA-256 of each wheel that was unpacked into it, by the wheel's file name."""

    path: Path
    wheels: Mapping[str, str]


def bill_of_materials(zips: Iterable[BuiltZip], version: str, environment: Mapping[str, str] = os.environ) -> str:
    """JSON. The same zips give the same text: its serial number is made of their hashes.

    It has a time only when SOURCE_DATE_EPOCH (seconds) is set: https://reproducible-builds.org/specs/source-date-epoch/
    """
    product = Component(name="backstream", version=version, type=ComponentType.APPLICATION, bom_ref="backstream")
    bom = Bom(metadata=BomMetaData(component=product))
    distributions: dict[str, Component] = {}
    for built in zips:
        archive = _zip_component(built, version)
        bom.components.add(archive)
        bom.register_dependency(product, [archive])
        found = [_distribution(metadata, built.wheels) for metadata in _metadata(built.path)]
        bom.register_dependency(archive, [distributions.setdefault(str(part.bom_ref), part) for part in found])
    bom.components.update(distributions.values())
    return _as_text(bom, environment.get("SOURCE_DATE_EPOCH"))


def _as_text(bom: Bom, epoch: str | None) -> str:
    content: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    del content["metadata"]["timestamp"]
    if epoch:
        content["metadata"]["timestamp"] = datetime.fromtimestamp(int(epoch), UTC).isoformat()
    del content["serialNumber"]
    content["serialNumber"] = uuid.uuid5(_NAMESPACE, json.dumps(content, sort_keys=True)).urn
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def _zip_component(built: BuiltZip, version: str) -> Component:
    digest = hashlib.sha256(built.path.read_bytes()).hexdigest()
    name = built.path.name
    return Component(name=name, version=version, type=ComponentType.FILE, bom_ref=name, hashes=[_sha256(digest)])


def _metadata(archive: Path) -> list[Message]:
    """The metadata of every distribution in a zip."""
    with zipfile.ZipFile(archive) as content:
        names = sorted(name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
        return [BytesParser().parsebytes(content.read(name), headersonly=True) for name in names]


def _distribution(metadata: Message, wheels: Mapping[str, str]) -> Component:
    name, version = canonicalize_name(metadata["Name"]), metadata["Version"]
    purl = PackageURL(type="pypi", name=name, version=version)
    own = {file: digest for file, digest in wheels.items() if _wheel_of(file) == (name, version)}
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=purl.to_string(),
        purl=purl,
        hashes=[_sha256(digest) for digest in own.values()],
        licenses=[LicenseFactory().make_from_string(_licence(metadata), license_acknowledgement=_DECLARED)],
        external_references=[
            ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(file), hashes=[_sha256(digest)])
            for file, digest in own.items()
        ],
    )


_DECLARED = LicenseAcknowledgement.DECLARED


def _wheel_of(file: str) -> tuple[str, str]:
    name, version, *_ = file.split("-")
    return canonicalize_name(name), version


def _licence(metadata: Message) -> str:
    declared: str = metadata["License-Expression"] or metadata["License"] or "unknown"
    return _SPDX.get(declared, declared)


def _sha256(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)
