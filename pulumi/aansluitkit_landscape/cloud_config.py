"""What a host is told at its first boot (cloud-init), so that Ansible finds it as the inventory says.

The image must know cloud-init and systemd-networkd, as Debian's own cloud images do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from aansluitkit.connection import Connection, Host

NETWORKD = "/etc/systemd/network"
DATABASE_FOLDER = "/var/lib/postgresql"


def cloud_config(
    connection: Connection, host: Host, hardware_addresses: Mapping[str, str], volume: str | None = None
) -> str:
    """The ``#cloud-config`` of ``host``; ``hardware_addresses`` are those of its interfaces, by zone.

    A host in several zones has its interfaces named after them, and one default route: to the cloud's router.
    ``volume`` is the id of the volume that holds its data.
    """
    content: dict[str, Any] = {"hostname": host.name, "fqdn": connection.name_of(host), "manage_etc_hosts": False}
    if len(host.addresses) > 1:
        content |= _interfaces(connection, host, hardware_addresses)
    if volume:
        content |= _data(volume)
    return "#cloud-config\n" + yaml.safe_dump(content, sort_keys=False)


def _interfaces(connection: Connection, host: Host, hardware_addresses: Mapping[str, str]) -> dict[str, Any]:
    # The names come from the files' order: 00 goes before what cloud-init wrote itself for the first boot.
    files = [("/etc/cloud/cloud.cfg.d/99-network.cfg", "network: {config: disabled}\n")]
    for zone, address in host.addresses.items():
        length = connection.zones[zone].network.prefixlen
        gateway = (
            f"Gateway={connection.openstack.router_address}\n" if connection.openstack and zone == "external" else ""
        )
        files += [
            (f"{NETWORKD}/00-{zone}.link", f"[Match]\nMACAddress={hardware_addresses[zone]}\n[Link]\nName={zone}\n"),
            (
                f"{NETWORKD}/00-{zone}.network",
                f"[Match]\nName={zone}\n[Network]\nAddress={address}/{length}\n{gateway}",
            ),
        ]
    return {
        "write_files": [{"path": path, "content": text} for path, text in files],
        "runcmd": [
            "rm -f /etc/netplan/50-cloud-init.yaml /etc/network/interfaces.d/50-cloud-init",
            "systemctl enable systemd-networkd",
        ],
        "power_state": {"mode": "reboot", "message": "interfaces get the names of their zones"},
    }


def _data(volume: str) -> dict[str, Any]:
    device = f"/dev/disk/by-id/virtio-{volume[:20]}"  # virtio's serial number has 20 characters
    return {
        "fs_setup": [{"device": device, "filesystem": "ext4", "label": "data", "overwrite": False}],
        "mounts": [["LABEL=data", DATABASE_FOLDER, "ext4", "defaults,nofail", "0", "2"]],
    }
