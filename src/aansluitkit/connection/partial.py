"""A connection of which some fields are wrong or blank, so that the rules on all others speak in the same run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import TypeAdapter

from aansluitkit.connection.model import Connection

Judged = TypeVar("Judged")
Found = TypeVar("Found")


class Unknown(Exception):  # noqa: N818 - no error: a rule that meets it has nothing to judge
    """The field asked for is wrong or blank."""


class _Partial(Connection):
    def __getattr__(self, name: str) -> NoReturn:
        raise Unknown(name)


@lru_cache(maxsize=64)
def _adapter(name: str) -> TypeAdapter[Any]:
    field = Connection.model_fields[name]
    kind: Any = field.annotation
    return TypeAdapter(Annotated[kind, *field.metadata] if field.metadata else kind)


def partial_connection(fields: dict[str, Any], broken: set[str]) -> Connection:
    """A connection with the valid ones of ``fields``; asking it for another raises ``Unknown``."""
    values = {}
    for name, value in fields.items():
        if name in Connection.model_fields and name not in broken:
            try:
                values[name] = _adapter(name).validate_python(value)
            except Exception:  # a ValidationError, or what no check expects: said by who examines it
                broken.add(name)
    connection = _Partial.model_construct(**values)
    for name in broken:
        connection.__dict__.pop(name, None)
    return connection


def as_known(judged: Judged, *parts: Callable[[Judged], Iterable[Found]]) -> Iterator[Found]:
    """What each of ``parts`` finds in ``judged``, up to where it asks for a field that is wrong or blank."""
    for part in parts:
        try:
            yield from part(judged)
        except Unknown:
            continue  # that is said of the field itself


def known(connection: Connection | None, field: str, otherwise: str) -> str:
    """The text of ``field``, or ``otherwise`` where it is wrong or blank."""
    try:
        return str(getattr(connection, field)) if connection else otherwise
    except Unknown:
        return otherwise
