"""The OpenAPI 3.1 document of a table of routes: what is served is what is described."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from aiohttp.typedefs import Handler
from pydantic import BaseModel, TypeAdapter

TEXT = "text/plain"
_JSON = "application/json"
_REFERENCES = "#/components/schemas/{model}"


@dataclass(frozen=True)
class Route:
    """One operation; bodies are a type of JSON, ``TEXT``, or None, and ``query`` has the names behind the ?."""

    method: str
    path: str
    handler: Handler
    takes: TypeAdapter[Any] | str | None = None
    gives: TypeAdapter[Any] | str | None = None
    query: type[BaseModel] | None = None

    @property
    def name(self) -> str:
        """A name that no other operation has."""
        words = re.findall(r"\w+", re.sub(r":[^}]*", "", self.path))
        return "_".join([self.method.lower(), *words])

    @property
    def summary(self) -> str:
        """What it does: the first line of the handler's docstring."""
        return (self.handler.__doc__ or "").partition("\n")[0]


def describe(title: str, version: str, base: str, routes: list[Route]) -> dict[str, Any]:
    """The document; ``base`` is where the paths begin."""
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for route in routes:
        path = re.sub(r"{(\w+):[^}]*}", r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, path, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "servers": [{"url": base}],
        "security": [{"basic": []}],
        "paths": paths,
        "components": {"securitySchemes": {"basic": {"type": "http", "scheme": "basic"}}, "schemas": schemas},
    }


def _operation(route: Route, path: str, schemas: dict[str, Any]) -> dict[str, Any]:
    given = _content(route.gives, schemas)
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": route.name,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"{(\w+)}", path)
        ],
        "responses": {
            "200" if given else "204": {"description": "Done", **({"content": given} if given else {})},
            "default": {"description": "The reason, in a sentence", "content": {TEXT: {"schema": {"type": "string"}}}},
        },
    }
    taken = _content(route.takes, schemas)
    if taken:
        operation["requestBody"] = {"required": True, "content": taken}
    if route.query:
        operation["parameters"] += _query(route.query)
    return operation


def _content(body: TypeAdapter[Any] | str | None, schemas: dict[str, Any]) -> dict[str, Any]:
    if body is None:
        return {}
    if isinstance(body, str):
        return {body: {"schema": {"type": "string"}}}
    schema = body.json_schema(ref_template=_REFERENCES)
    schemas.update(schema.pop("$defs", {}))
    return {_JSON: {"schema": schema}}


def _query(model: type[BaseModel]) -> list[dict[str, Any]]:
    properties = model.model_json_schema()["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]
