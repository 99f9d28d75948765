"""The real engine makes, sees drift of, repairs and removes an OpenStack project, for which a provider stands in."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format, struct_pb2
from pulumi import automation
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from aansluitkit.connection import load_connection
from aansluitkit.errors import KitError
from aansluitkit.landscape import Changes, destroy, plan, stack, up, verbs
from aansluitkit.project import ROOT

CLOUD = Path(__file__).with_name("cloud.py")
MakeInventory = Callable[..., Path]


class Cloud:
    """What the stand-in keeps, read and changed behind Pulumi's back."""

    def __init__(self, file: Path, port: int) -> None:
        self._file = file
        self.port = port

    @property
    def things(self) -> dict[str, Any]:
        return json.loads(self._file.read_text()) if self._file.is_file() else {}

    def of(self, kind: str) -> dict[str, Any]:
        return {id_: thing["inputs"] for id_, thing in self.things.items() if thing["type"].endswith(f":{kind}")}

    def lose(self, id_: str) -> None:
        self._file.write_text(json.dumps({key: thing for key, thing in self.things.items() if key != id_}))

    def change(self, id_: str, **inputs: object) -> None:
        things = self.things
        things[id_]["inputs"] |= inputs
        self._file.write_text(json.dumps(things))


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A cloud of this test's own, with a state and folders of its own."""
    file = tmp_path / "cloud.json"
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("of this test alone")
    (tmp_path / "state").mkdir()
    for workspace in ("workspace", "of-a-colleague"):
        (tmp_path / workspace).mkdir()
        shutil.copy(ROOT / "pulumi/Pulumi.yaml", tmp_path / workspace)
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}/state")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(passphrase))
    monkeypatch.setenv("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true")
    monkeypatch.setattr(stack, "WORKSPACE", tmp_path / "workspace")
    monkeypatch.setattr(stack, "PULUMI_HOME", tmp_path / "home")
    # The hosts are rows of a file: there is no one to ask for their configuration.
    monkeypatch.setattr(verbs, "differences", lambda *_: ())
    # The inventory is an example, which only a cloud that is none may make.
    monkeypatch.setattr(verbs, "refuse_deployment", lambda *_: None)
    with subprocess.Popen(
        [sys.executable, str(CLOUD), str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdin
        port = int(process.stdout.readline())
        monkeypatch.setenv("PULUMI_DEBUG_PROVIDERS", f"openstack:{port}")
        yield Cloud(file, port)
        process.stdin.close()


def quiet(_message: str) -> None:
    pass


def yes(_changes: Changes) -> bool:
    return True


def no(_changes: Changes) -> bool:
    return False


def test_made_repaired_and_removed(
    cloud: Cloud, make_inventory: MakeInventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = make_inventory("preprod", "application")  # fewer resources, each kind of them
    planned = plan(inventory, quiet)
    assert {change.kind for change in planned.resources} == {"create"}
    assert not cloud.things, "a plan makes nothing"
    assert up(inventory, quiet, no) == planned, "only production asks"
    made = Counter(thing["type"].rpartition(":")[2] for thing in cloud.things.values())
    assert made == Counter(change.type for change in planned.resources)
    assert not plan(inventory, quiet), "what was made is what was declared"

    monkeypatch.setattr(stack, "WORKSPACE", tmp_path / "of-a-colleague")
    database = next(id_ for id_, made in cloud.of("Instance").items() if made["name"] == "db")
    rule = next(id_ for id_, made in cloud.of("SecGroupRule").items() if made.get("portRangeMin") == 5432)
    cloud.lose(database)
    cloud.change(rule, remoteIpPrefix="0.0.0.0/0")
    drift = {change.type: (change.kind, change.properties) for change in up(inventory, quiet, no).resources}
    assert drift == {"Instance": ("create", ()), "SecGroupRule": ("replace", ("remoteIpPrefix",))}
    assert "db" in {made["name"] for made in cloud.of("Instance").values()}
    assert "0.0.0.0/0" not in {made["remoteIpPrefix"] for made in cloud.of("SecGroupRule").values()}

    destroy(inventory, quiet, yes)
    assert not cloud.things


def test_production_and_removal_ask_first(cloud: Cloud, make_inventory: MakeInventory) -> None:
    asked: list[Changes] = []
    inventory = make_inventory("production")
    with pytest.raises(KitError, match="not confirmed: nothing was changed"):
        up(inventory, quiet, lambda changes: bool(asked.append(changes)))
    assert len(asked) == 1 and len(asked[0].resources) > 100
    with pytest.raises(KitError, match="not confirmed: nothing was removed"):
        destroy(make_inventory("preprod"), quiet, no)
    with pytest.raises(KitError, match="production, which is never removed"):
        destroy(inventory, quiet, yes)
    assert not cloud.things


def test_production_is_made_when_it_is_meant_and_not_removed(cloud: Cloud, make_inventory: MakeInventory) -> None:
    """The command refuses, and so does the engine for whoever leaves the command out."""
    asked: list[Changes] = []
    inventory = make_inventory("production", "application")
    made = up(inventory, quiet, lambda changes: asked.append(changes) is None)
    assert asked == [made]
    before = cloud.things
    connection = load_connection(inventory)
    assert connection.openstack
    opened = stack.open_stack(inventory, connection, stack.settings_of(connection.openstack), quiet)
    with pytest.raises(automation.CommandError, match="protected"):
        opened.destroy()
    assert cloud.things == before, "no filter goes before the host that needs it"
    assert not plan(inventory, quiet)


def test_a_flow_of_production_goes_and_another_comes(cloud: Cloud, make_inventory: MakeInventory) -> None:
    """Protection is of what stays; filters follow the inventory."""
    inventory = make_inventory("production", "application")
    up(inventory, quiet, yes)
    hosts = cloud.of("Instance")
    file = inventory / "group_vars/all/connection.yml"
    with file.open("a") as opened:
        opened.write("connection_ports: {database: 5433}\n")
    changed = up(inventory, quiet, yes).resources
    assert {change.type for change in changed} == {"SecGroupRule"}
    assert cloud.of("Instance") == hosts
    ports = {made.get("portRangeMin") for made in cloud.of("SecGroupRule").values()}  # VRRP has none
    assert 5433 in ports and 5432 not in ports


def test_an_address_that_the_project_does_not_hold_is_refused(cloud: Cloud, make_inventory: MakeInventory) -> None:
    inventory = make_inventory("preprod")
    path = inventory / "group_vars/all/connection.yml"
    path.write_text(
        path.read_text().replace("connection_inbound_address: 203.0.113.10", "connection_inbound_address: 203.0.113.12")
    )
    with pytest.raises(KitError, match=r"holds no floating address 203\.0\.113\.12"):
        up(inventory, quiet, yes)
    assert not cloud.of("FloatingIpAssociate")


def test_an_example_is_not_made(make_inventory: MakeInventory) -> None:
    with pytest.raises(KitError, match="is an example"):
        up(make_inventory("preprod"), quiet, yes)


PORT = "networking/port:Port"
RULE = {"direction": "ingress", "ethertype": "IPv4", "securityGroupId": "1"}
FAULTS = [
    ("networking/network:Network", {"nmae": "dmz"}, {"nmae": "is no input"}),
    (PORT, {"adminStateUp": True}, {"networkId": "is required"}),
    (PORT, {"networkId": "1", "portSecurityEnabled": "true"}, {"portSecurityEnabled": "'true' is no bool"}),
    (PORT, {"networkId": "1", "fixedIps": [{"address": "10.0.0.1"}]}, {"fixedIps[0].address": "is no input"}),
    ("networking/secGroupRule:SecGroupRule", {**RULE, "portRangeMin": 22.5}, {"portRangeMin": "22.5 is no int"}),
    ("blockstorage/volume:Volume", {"size": 40, "metadata": {"a": 1}}, {"metadata.a": "1.0 is no str"}),
    ("blockstorage/volume:Volume", {"size": 40, "metadata": {"a": "b"}}, {}),
]


def test_the_stand_in_judges_by_the_published_sdk(cloud: Cloud) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{cloud.port}") as channel:
        provider = provider_pb2_grpc.ResourceProviderStub(channel)
        for token, inputs, expected in FAULTS:
            news = json_format.ParseDict(inputs, struct_pb2.Struct())
            urn = f"urn:pulumi:s::p::openstack:{token}::name"
            found = provider.Check(provider_pb2.CheckRequest(urn=urn, news=news)).failures
            assert {failure.property: failure.reason for failure in found} == expected, token
