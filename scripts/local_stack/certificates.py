"""A private certificate authority and the certificate of the local database server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    folder: Path

    @property
    def authority(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def certificate(self) -> Path:
        return self.folder / "server.pem"

    @property
    def key(self) -> Path:
        return self.folder / "server.key"

    def ensure(self) -> None:
        """Made once. The authority is written last: where it exists, everything does."""
        if self.authority.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA(organization_name="Backstream local stack")
        server = authority.issue_cert("127.0.0.1", "localhost", common_name="localhost")
        self.key.touch(mode=0o600)
        server.private_key_pem.write_to_path(self.key)
        self.certificate.write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))
        # The authority's own key is kept nowhere, so nobody can issue a second certificate in its name.
        authority.cert_pem.write_to_path(self.authority)
