"""What the adapter's nodes share: CPAs, URL mappings, certificate mappings, and the messages.

Nothing is remembered in a process: an answer can arrive at another node than the one that asked.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Delete, delete, select

from aansluitkit.ebms.cpa import Cpa, read_cpa
from aansluitkit.ebms.database import Database, open_database
from aansluitkit.ebms.messages import Messages, changed
from aansluitkit.ebms.tables import CertificateMappingRow, CpaRow, UrlMappingRow


@dataclass(frozen=True)
class CertificateMapping:
    """Certificate ``destination`` (DER) stands for ``source`` of a CPA; of every CPA when ``cpa_id`` is empty."""

    source: bytes
    destination: bytes
    cpa_id: str = ""


class Store:
    """The agreements; every method is one transaction. ``messages`` has what was sent and received."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.messages = Messages(database)
        self.ping = database.ping
        self.close = database.close

    def put_cpa(self, identity: str, document: bytes) -> None:
        """Keep a CPA, in place of the one with the same id."""
        with self._database.writing() as session:
            session.merge(CpaRow(id=identity, document=document))

    def cpa(self, identity: str) -> bytes | None:
        """The CPA ``identity`` as it was loaded, or None."""
        with self._database.reading() as session:
            row = session.get(CpaRow, identity)
            return row.document if row else None

    def agreement(self, identity: str) -> Cpa | None:
        """The CPA ``identity``, or None."""
        document = self.cpa(identity)
        return _read(document) if document is not None else None

    def cpa_ids(self) -> list[str]:
        """Ids of all CPAs, sorted."""
        with self._database.reading() as session:
            return list(session.scalars(select(CpaRow.id).order_by(CpaRow.id)))

    def remove_cpa(self, identity: str) -> bool:
        """Remove a CPA; False when there was none."""
        return self._delete(delete(CpaRow).where(CpaRow.id == identity))

    def put_mapping(self, source: str, destination: str) -> None:
        """Send messages for ``source`` to ``destination``."""
        with self._database.writing() as session:
            session.merge(UrlMappingRow(source=source, destination=destination))

    def mappings(self) -> dict[str, str]:
        """All URL mappings, by source."""
        with self._database.reading() as session:
            rows = session.scalars(select(UrlMappingRow).order_by(UrlMappingRow.source))
            return {row.source: row.destination for row in rows}

    def destination_of(self, endpoint: str) -> str:
        """Where messages for ``endpoint`` go."""
        with self._database.reading() as session:
            row = session.get(UrlMappingRow, endpoint)
            return row.destination if row else endpoint

    def remove_mapping(self, source: str) -> bool:
        """Remove a URL mapping; False when there was none."""
        return self._delete(delete(UrlMappingRow).where(UrlMappingRow.source == source))

    def put_certificate(self, mapping: CertificateMapping) -> None:
        """Let a certificate stand for another."""
        row = CertificateMappingRow(
            source=_digest(mapping.source),
            cpa_id=mapping.cpa_id,
            certificate=mapping.source,
            destination=mapping.destination,
        )
        with self._database.writing() as session:
            session.merge(row)

    def certificates(self) -> list[CertificateMapping]:
        """All certificate mappings."""
        order = (CertificateMappingRow.cpa_id, CertificateMappingRow.source)
        with self._database.reading() as session:
            rows = session.scalars(select(CertificateMappingRow).order_by(*order))
            return [CertificateMapping(row.certificate, row.destination, row.cpa_id) for row in rows]

    def certificate_for(self, source: bytes, cpa_id: str) -> bytes:
        """The certificate that stands for ``source`` in CPA ``cpa_id``: the mapping of the CPA, of all, or itself."""
        with self._database.reading() as session:
            for scope in (cpa_id, ""):
                row = session.get(CertificateMappingRow, (_digest(source), scope))
                if row:
                    return row.destination
        return source

    def remove_certificate(self, source: bytes, cpa_id: str) -> bool:
        """Remove the mapping of ``source`` for exactly ``cpa_id``; False when there was none."""
        of = (CertificateMappingRow.source == _digest(source), CertificateMappingRow.cpa_id == cpa_id)
        return self._delete(delete(CertificateMappingRow).where(*of))

    def _delete(self, statement: Delete) -> bool:
        with self._database.writing() as session:
            return changed(session.execute(statement)) > 0


def open_store(database: str, password: str | None) -> Store:
    """Open the database at URL ``database``, and bring its tables to this version.

    Raises:
        KitError: when the URL is wrong or the database can't be reached.
    """
    return Store(open_database(database, password))


@lru_cache(maxsize=64)
def _read(document: bytes) -> Cpa:
    return read_cpa(document)


def _digest(certificate: bytes) -> str:
    return hashlib.sha256(certificate).hexdigest()
