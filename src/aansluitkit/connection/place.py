"""Where the hosts of a connection live, and what a cloud must be told to make them there."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1)]


class Place(StrEnum):
    """Who makes the networks and hosts: this machine for the lab, a cloud, or somebody else."""

    PODMAN = "podman"
    OPENSTACK = "openstack"
    EXISTING = "existing"


class OpenStack(BaseModel):
    """An OpenStack project. Whoever may use it is told by clouds.yaml, never by the inventory.

    ``cloud`` is the entry of clouds.yaml, ``image``, ``keypair`` and ``external_network`` are names of what is there
    already. Every component that the inventory uses has a flavor. The nodes of a cluster are spread over
    ``availability_zones`` in turn.

    The inbound and outbound address of the connection are floating addresses that the project holds already, as they
    are registered with the partner. The router puts ``inbound_fixed_address`` and ``outbound_fixed_address`` in their
    place: addresses of the external zone that the firewall carries. ``router_address`` is the router's own there.

    ``state`` is the URL where Pulumi keeps what it made (file://, s3://, postgres://, …); the environment variable
    PULUMI_BACKEND_URL stands in for it. Secrets in it are encrypted: with the passphrase in ``passphrase_file`` (or
    where PULUMI_CONFIG_PASSPHRASE_FILE says), or with the key that ``secrets_provider`` names (awskms://, …).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cloud: Name
    image: Name
    flavors: dict[str, Name]
    external_network: Name
    availability_zones: Annotated[tuple[Name, ...], Field(min_length=1)]
    keypair: Name
    router_address: IPv4Address
    inbound_fixed_address: IPv4Address
    outbound_fixed_address: IPv4Address
    database_volume_gib: Annotated[int, Field(ge=1)]
    state: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*://\S+$")] | None = None
    secrets_provider: Annotated[str, Field(pattern=r"^(passphrase|[a-z]+://\S+)$")] = "passphrase"
    passphrase_file: Path | None = None
