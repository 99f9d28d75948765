"""The host image of the lab: Debian with systemd, made from packages, without a registry.

It carries every package that a role installs, so that hosts without any way out can be configured: the roles ask
for their packages all the same, and find them there. All services but SSH are off.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable
from pathlib import Path

from aansluitkit.errors import KitError
from aansluitkit.lab.keys import USER
from aansluitkit.lab.podman import has_image, podman
from aansluitkit.lab.run import run
from aansluitkit.project import cache

SUITE = "bookworm"
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "python3",
    "python3-venv",
    "python3-apt",
    "openssh-server",
    "sudo",
    "iproute2",
    "procps",
    "ca-certificates",
    "curl",
    "openssl",
    "nftables",
    "bind9",
    "bind9-utils",
    "bind9-dnsutils",
    "haproxy",
    "postgresql",
    "python3-psycopg2",
    "pgbackrest",
    "keepalived",
    "conntrackd",
    "prometheus",
    "prometheus-node-exporter",
    "prometheus-postgres-exporter",
    "chrony",
    "unattended-upgrades",
    "faketime",
)
# For ebms-admin alone: 190 MB that others do without.
JAVA = ("default-jre-headless", "libpostgresql-jdbc-java")
OFF = (
    "haproxy",
    "named",
    "postgresql",
    "nftables",
    "keepalived",
    "conntrackd",
    "prometheus",
    "prometheus-node-exporter",
    "prometheus-postgres-exporter",
    "chrony",
    "unattended-upgrades",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_all.timer",
)

_SSH = "PasswordAuthentication no\\nPermitRootLogin no\\nHostKey /etc/ssh/ssh_host_ed25519_key\\n"
_SSH += "AuthorizedKeysFile /etc/ssh/authorized_keys_%%u\\n"
_HOOKS = (
    'rm -f "$1"/etc/ssh/ssh_host_*',
    f"printf '{_SSH}' > \"$1\"/etc/ssh/sshd_config.d/aansluitkit.conf",
    'printf "127.0.0.1 localhost\\n" > "$1"/etc/hosts',
    f'chroot "$1" useradd --create-home --shell /bin/bash --groups sudo {USER}',
    'rm -f "$1"/etc/resolv.conf "$1"/etc/hostname && : > "$1"/etc/resolv.conf',
    'chroot "$1" systemctl disable ' + " ".join(OFF),
    'chroot "$1" systemctl enable ssh',
    'chroot "$1" systemctl mask systemd-resolved systemd-networkd-wait-online systemd-udevd getty.target '
    "console-getty.service systemd-logind.service",
)


def packages() -> tuple[str, ...]:
    """What the image carries; Java only where the environment names a jar of ebms-admin."""
    return PACKAGES + (JAVA if os.environ.get("EBMS_ADMIN_JAR") else ())


def name() -> str:
    """Name of the image that this definition makes: another definition has another name."""
    definition = "\n".join([SUITE, *packages(), *_HOOKS])
    return f"localhost/aansluitkit-host:{hashlib.sha256(definition.encode()).hexdigest()[:12]}"


def build(say: Callable[[str], None]) -> str:
    """Make the image where it is absent, and return its name.

    Raises:
        KitError: when the packages can't be had.
    """
    image = name()
    if has_image(image):
        say(f"host image {image} is there")
        return image
    made = archive(say)
    say("importing host image")
    podman("import", "--change", "CMD=/sbin/init", "--change", "STOPSIGNAL=SIGRTMIN+3", made, image)
    made.unlink()
    return image


def archive(say: Callable[[str], None]) -> Path:
    """Make what the image is imported from where it is absent, and return where it lies.

    Raises:
        KitError: when the packages can't be had.
    """
    image = name()
    made = cache() / "image" / f"{image.rpartition(':')[2]}.tar"
    made.parent.mkdir(parents=True, exist_ok=True)
    if not made.is_file():
        say(f"making host image {image} from {len(packages())} packages of Debian {SUITE} (a minute or two)")
        _bootstrap(made)
    return made


def _bootstrap(archive: Path) -> None:
    making = archive.with_suffix(".making.tar")
    hooks = [f"--customize-hook={hook}" for hook in _HOOKS]
    try:
        run(
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            f"--include={','.join(packages())}",
            *hooks,
            SUITE,
            making,
            *map(str, sources(SUITE)),
        )
    except KitError:
        making.unlink(missing_ok=True)
        raise
    making.rename(archive)


def sources(suite: str) -> list[Path]:
    """The machine's own package sources, where they are of ``suite``; else none."""
    if platform.freedesktop_os_release().get("VERSION_CODENAME") != suite:
        return []
    files = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d/debian.sources"))
    return [path for path in files if path.is_file() and path.read_text().strip()]
