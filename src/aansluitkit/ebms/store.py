"""What the adapter's nodes share: CPAs, URL mappings, certificate mappings, and the messages.

Nothing is remembered in a process: an answer can arrive at another node than the one that asked.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Delete, Table, delete, select

from aansluitkit.ebms.cpa import Cpa, read_cpa
from aansluitkit.ebms.database import Database, open_database
from aansluitkit.ebms.messages import Messages
from aansluitkit.ebms.tables import CERTIFICATE_MAPPING, CPA, URL_MAPPING


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
        self._put(CPA, id=identity, document=document)

    def cpa(self, identity: str) -> bytes | None:
        """The CPA ``identity`` as it was loaded, or None."""
        with self._database.reading() as connection:
            return connection.scalar(select(CPA.c.document).where(CPA.c.id == identity))

    def agreement(self, identity: str) -> Cpa | None:
        """The CPA ``identity``, or None."""
        document = self.cpa(identity)
        return _read(document) if document is not None else None

    def cpa_ids(self) -> list[str]:
        """Ids of all CPAs, sorted."""
        with self._database.reading() as connection:
            return list(connection.scalars(select(CPA.c.id).order_by(CPA.c.id)))

    def remove_cpa(self, identity: str) -> bool:
        """Remove a CPA; False when there was none."""
        return self._delete(delete(CPA).where(CPA.c.id == identity))

    def put_mapping(self, source: str, destination: str) -> None:
        """Send messages for ``source`` to ``destination``."""
        self._put(URL_MAPPING, source=source, destination=destination)

    def mappings(self) -> dict[str, str]:
        """All URL mappings, by source."""
        found = select(URL_MAPPING.c.source, URL_MAPPING.c.destination).order_by(URL_MAPPING.c.source)
        with self._database.reading() as connection:
            return {row.source: row.destination for row in connection.execute(found)}

    def destination_of(self, endpoint: str) -> str:
        """Where messages for ``endpoint`` go."""
        with self._database.reading() as connection:
            found = connection.scalar(select(URL_MAPPING.c.destination).where(URL_MAPPING.c.source == endpoint))
            return found or endpoint

    def remove_mapping(self, source: str) -> bool:
        """Remove a URL mapping; False when there was none."""
        return self._delete(delete(URL_MAPPING).where(URL_MAPPING.c.source == source))

    def put_certificate(self, mapping: CertificateMapping) -> None:
        """Let a certificate stand for another."""
        self._put(
            CERTIFICATE_MAPPING,
            source=_digest(mapping.source),
            cpa_id=mapping.cpa_id,
            certificate=mapping.source,
            destination=mapping.destination,
        )

    def certificates(self) -> list[CertificateMapping]:
        """All certificate mappings."""
        found = select(CERTIFICATE_MAPPING).order_by(CERTIFICATE_MAPPING.c.cpa_id, CERTIFICATE_MAPPING.c.source)
        with self._database.reading() as connection:
            rows = connection.execute(found)
            return [CertificateMapping(row.certificate, row.destination, row.cpa_id) for row in rows]

    def certificate_for(self, source: bytes, cpa_id: str) -> bytes:
        """The certificate that stands for ``source`` in CPA ``cpa_id``: the mapping of the CPA, of all, or itself."""
        mapping = CERTIFICATE_MAPPING.c
        of = (mapping.source == _digest(source), mapping.cpa_id.in_([cpa_id, ""]))
        with self._database.reading() as connection:
            rows = connection.execute(select(mapping.cpa_id, mapping.destination).where(*of))
            found = {row.cpa_id: row.destination for row in rows}
        return found.get(cpa_id) or found.get("") or source

    def remove_certificate(self, source: bytes, cpa_id: str) -> bool:
        """Remove the mapping of ``source`` for exactly ``cpa_id``; False when there was none."""
        mapping = CERTIFICATE_MAPPING.c
        of = (mapping.source == _digest(source), mapping.cpa_id == cpa_id)
        return self._delete(delete(CERTIFICATE_MAPPING).where(*of))

    def _put(self, table: Table, **row: object) -> None:
        """Keep ``row``, in place of the one with the same key."""
        keys = [column.name for column in table.primary_key]
        others = {name: value for name, value in row.items() if name not in keys}
        statement = self._database.insert(table).values(**row)
        with self._database.writing() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=others))

    def _delete(self, statement: Delete) -> bool:
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount > 0


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
