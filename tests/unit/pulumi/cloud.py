"""Stands in for the OpenStack provider: a plugin of the engine that keeps a cloud in a JSON file.

``python cloud.py FILE`` prints the port that it serves on; PULUMI_DEBUG_PROVIDERS=openstack:PORT attaches an engine.
Inputs are held against the published SDK: a resource's arguments, their types and which are required are read from
its ``…Args`` class, and what makes a new resource from its documentation. Of OpenStack itself it knows what the
kit could get wrong: an address is taken once and lies in its subnet, a rule is made once, routed subnets are disjoint.
"""

from __future__ import annotations

import collections.abc
import functools
import importlib
import importlib.metadata
import inspect
import json
import re
import sys
import threading
import typing
import uuid
from concurrent import futures
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import grpc
import pulumi
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi._types import input_type_py_to_pulumi_names, is_input_type
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc
from pulumi.runtime.rpc import UNKNOWN

EXTERNAL = "203.0.113.0/24"  # the external network
RESERVED = ("203.0.113.10", "203.0.113.11")  # floating addresses that the project holds
FOUND = {
    "openstack:networking/getNetwork:getNetwork": {"name": "public", "external": True},
    "openstack:images/getImage:getImage": {"name": "debian-12", "mostRecent": True},
}


def snake(name: str) -> str:
    """``secGroupRule`` as ``sec_group_rule``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def module_of(token: str) -> Any:
    """The SDK's module of a resource or function such as ``openstack:networking/port:Port``."""
    package, name = token.split(":")[1].split("/")
    return importlib.import_module(f"pulumi_openstack.{package}.{snake(name)}")


def resource_arguments(token: str) -> Any:
    """The class that says what may be declared of a resource."""
    return getattr(module_of(token), f"{token.rpartition(':')[2]}Args")


def faults(args_class: Any, given: dict[str, Any], path: str = "") -> list[tuple[str, str]]:
    """What the published arguments hold against ``given``: path of the input, and what is wrong."""
    known = published(args_class)
    found = [(f"{path}{name}", "is no input") for name in given if name not in known]
    for name, (hint, required) in known.items():
        if name in given:
            found += misfits(hint, given[name], f"{path}{name}")
        elif required:
            found.append((f"{path}{name}", "is required"))
    return found


@functools.cache
def published(args_class: Any) -> dict[str, tuple[Any, bool]]:
    """Each input that ``args_class`` publishes: its type, and whether it is required."""
    names = input_type_py_to_pulumi_names(args_class)
    open_names = {"Output": pulumi.Output, "T": typing.TypeVar("T")}
    hints = typing.get_type_hints(args_class.__init__, vars(sys.modules[args_class.__module__]), open_names)
    parameters = list(inspect.signature(args_class.__init__).parameters.values())[1:]
    return {
        names[parameter.name]: (hints[parameter.name], parameter.default is inspect.Parameter.empty)
        for parameter in parameters
    }


def misfits(hint: Any, value: Any, path: str) -> list[tuple[str, str]]:
    """Where ``value`` is not of the type ``hint``; what is known only later fits everything."""
    origin = typing.get_origin(hint)
    if value == UNKNOWN:
        return []
    if origin is typing.Union:
        ways = [misfits(way, value, path) for way in typing.get_args(hint) if _is_plain(way)]
        return min(ways, key=len)
    if inspect.isclass(hint) and is_input_type(hint):
        return faults(hint, value, f"{path}.") if isinstance(value, dict) else [(path, "is no object")]
    if origin is collections.abc.Sequence:
        if not isinstance(value, list):
            return [(path, f"{value!r} is no list")]
        return [
            fault for at, item in enumerate(value) for fault in misfits(typing.get_args(hint)[0], item, f"{path}[{at}]")
        ]
    if origin is collections.abc.Mapping:
        if not isinstance(value, dict):
            return [(path, f"{value!r} is no map")]
        return [
            fault for key, item in value.items() for fault in misfits(typing.get_args(hint)[1], item, f"{path}.{key}")
        ]
    if hint is type(None):
        return [] if value is None else [(path, f"{value!r} is no null")]
    fits = float(value).is_integer() if hint is int and _is_number(value) else isinstance(value, hint)
    return (
        [] if fits and (hint is bool or not isinstance(value, bool)) else [(path, f"{value!r} is no {hint.__name__}")]
    )


def _is_plain(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    return not (
        isinstance(origin, type) and (issubclass(origin, collections.abc.Awaitable) or origin.__name__ == "Output")
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, float) and not isinstance(value, bool)


def makes_anew(token: str, name: str) -> bool:
    """Whether the published documentation says that another value of input ``name`` makes another resource."""
    args_class = resource_arguments(token)
    python = {pulumi: own for own, pulumi in input_type_py_to_pulumi_names(args_class).items()}[name]
    return "creates a new" in " ".join((getattr(args_class, python).__doc__ or "").split())


class Cloud(provider_pb2_grpc.ResourceProviderServicer):
    """The provider; ``file`` holds every resource: id to type and inputs."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.RLock()

    @property
    def things(self) -> dict[str, Any]:
        """What is there now."""
        return json.loads(self._file.read_text()) if self._file.is_file() else {}

    def _keep(self, things: dict[str, Any]) -> None:
        self._file.write_text(json.dumps(things, indent=1))

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("pulumi-openstack"))

    def CheckConfig(self, request: Any, context: Any) -> Any:
        provider = importlib.import_module("pulumi_openstack.provider").ProviderArgs
        given = {name: value for name, value in plain(request.news).items() if name != "version"}
        return provider_pb2.CheckResponse(inputs=request.news, failures=refused(faults(provider, given)))

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(acceptSecrets=False, supportsPreview=False, acceptResources=False)

    def Invoke(self, request: Any, context: Any) -> Any:
        given = plain(request.args)
        function = getattr(module_of(request.tok), snake(request.tok.rpartition(":")[2]))
        unknown = [name for name in given if snake(name) not in inspect.signature(function).parameters]
        if unknown:
            return provider_pb2.InvokeResponse(failures=refused([(name, "is no input") for name in unknown]))
        if request.tok == "openstack:networking/getFloatingIp:getFloatingIp":
            if given["address"] not in RESERVED:
                reason = f"the project holds no floating address {given['address']}"
                return provider_pb2.InvokeResponse(failures=refused([("address", reason)]))
        elif FOUND[request.tok] != given:
            return provider_pb2.InvokeResponse(failures=refused([("name", f"there is no {given}")]))
        return provider_pb2.InvokeResponse(
            **{
                "return": struct(
                    {**given, "id": str(uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(given, sort_keys=True)))}
                )
            }
        )

    def Check(self, request: Any, context: Any) -> Any:
        token = request.urn.split("::")[2].rpartition("$")[2]
        failures = refused(faults(resource_arguments(token), plain(request.news)))
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        token = request.urn.split("::")[2].rpartition("$")[2]
        old, new = plain(request.old_inputs), plain(request.news)
        names = sorted(
            name for name in {*old, *new} if old.get(name) != new.get(name) and name not in request.ignoreChanges
        )
        some = provider_pb2.DiffResponse.DIFF_SOME if names else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=some,
            diffs=names,
            replaces=[name for name in names if makes_anew(token, name)],
            deleteBeforeReplace=True,
        )

    def Create(self, request: Any, context: Any) -> Any:
        token, given = request.urn.split("::")[2].rpartition("$")[2], plain(request.properties)
        with self._lock:
            things = self.things
            reason = refusal(token, given, things)
            if reason:
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, reason)
            id_ = str(uuid.uuid4())
            self._keep({**things, id_: {"type": token, "inputs": given}})
        return provider_pb2.CreateResponse(id=id_, properties=struct(outputs(id_, token, given)))

    def Read(self, request: Any, context: Any) -> Any:
        with self._lock:
            thing = self.things.get(request.id)
        if thing is None:
            return provider_pb2.ReadResponse()
        given = thing["inputs"]
        found = struct(outputs(request.id, thing["type"], given))
        return provider_pb2.ReadResponse(id=request.id, properties=found, inputs=struct(given))

    def Update(self, request: Any, context: Any) -> Any:
        given = plain(request.news)
        with self._lock:
            things = self.things
            things[request.id]["inputs"] = given
            self._keep(things)
        return provider_pb2.UpdateResponse(properties=struct(outputs(request.id, things[request.id]["type"], given)))

    def Delete(self, request: Any, context: Any) -> Any:
        with self._lock:
            things = self.things
            if request.id not in things:
                context.abort(grpc.StatusCode.NOT_FOUND, f"there is no {request.id}")
            users = [thing for id_, thing in things.items() if id_ != request.id and request.id in json.dumps(thing)]
            if users:
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{request.urn} is in use by {users[0]['type']}")
            self._keep({id_: thing for id_, thing in things.items() if id_ != request.id})
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()


def refusal(token: str, given: dict[str, Any], things: dict[str, Any]) -> str | None:
    """Why OpenStack would not make this; None when it would."""
    same = [thing["inputs"] for thing in things.values() if thing["type"] == token]
    kind = token.rpartition(":")[2]
    if kind == "FloatingIp":
        return "a floating address would be drawn"
    if kind == "SecGroupRule" and given in same:
        return f"the rule is there already: {given}"
    if kind == "Port":
        return _address_refusal(given, same, things)
    if kind == "Subnet" and ip_network(given["cidr"]).overlaps(ip_network(EXTERNAL)):
        return f"{given['cidr']} overlaps the external network"
    if kind == "FloatingIpAssociate":
        port = things[given["portId"]]["inputs"]
        if given["fixedIp"] not in [fixed["ipAddress"] for fixed in port["fixedIps"]]:
            return f"{given['fixedIp']} is no address of the port"
        if not any(thing["type"].endswith(":RouterInterface") for thing in things.values()):
            return "the port's subnet has no router"
    return None


def _address_refusal(given: dict[str, Any], ports: list[dict[str, Any]], things: dict[str, Any]) -> str | None:
    taken = {fixed["ipAddress"] for port in ports for fixed in port["fixedIps"]}
    for fixed in given["fixedIps"]:
        subnet = things[fixed["subnetId"]]["inputs"]
        if fixed["ipAddress"] in taken:
            return f"{fixed['ipAddress']} is in use"
        if ip_address(fixed["ipAddress"]) not in ip_network(subnet["cidr"]):
            return f"{fixed['ipAddress']} lies outside {subnet['cidr']}"
    return None


def outputs(id_: str, token: str, given: dict[str, Any]) -> dict[str, Any]:
    """What OpenStack tells of a resource beside what it was given."""
    hardware = "fa:16:3e:" + ":".join(id_[at : at + 2] for at in (0, 2, 4))
    return {**given, "macAddress": hardware} if token.endswith(":Port") else given


def plain(properties: Any) -> dict[str, Any]:
    """Protobuf's properties as Python's, without the engine's own."""
    return {name: value for name, value in json_format.MessageToDict(properties).items() if not name.startswith("__")}


def struct(properties: dict[str, Any]) -> Any:
    """Python's properties as protobuf's."""
    return json_format.ParseDict(properties, struct_pb2.Struct())


def refused(found: list[tuple[str, str]]) -> list[Any]:
    """Faults as the engine wants them."""
    return [provider_pb2.CheckFailure(property=path, reason=reason) for path, reason in found]


def main() -> None:
    """Serve until standard input ends."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Cloud(Path(sys.argv[1])), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    sys.stdin.read()
    server.stop(0)


if __name__ == "__main__":
    main()
