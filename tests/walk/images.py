"""Images of bare Debian: what its installer leaves behind, and nothing that a role installs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from aansluitkit.lab.image import sources
from aansluitkit.lab.keys import USER
from aansluitkit.lab.podman import has_image, podman
from aansluitkit.lab.run import run
from aansluitkit.project import cache

_PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "python3",
    "openssh-server",
    "sudo",
    "iproute2",
    "procps",
    "ca-certificates",
)
_SSH = (
    "PermitRootLogin no\\nPasswordAuthentication no\\nAllowUsers " + USER + "\\n"
    "HostKey /etc/ssh/ssh_host_ed25519_key\\nAuthorizedKeysFile /etc/ssh/authorized_keys_%%u\\n"
)
_HOOKS = (
    f'chroot "$1" useradd --create-home --shell /bin/bash --groups sudo {USER}',
    'rm -f "$1"/etc/ssh/ssh_host_*',
    f"printf '{_SSH}' > \"$1\"/etc/ssh/sshd_config.d/walk.conf",
    'rm -f "$1"/etc/resolv.conf "$1"/etc/hostname "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*',
    'chroot "$1" systemctl enable ssh systemd-networkd',
    # Of a container: there are no terminals, no udev and no seats.
    'chroot "$1" systemctl mask getty.target console-getty.service systemd-logind.service systemd-udevd',
)


def build(suite: str, say: Callable[[str], None]) -> str:
    """Make the image of Debian ``suite`` where it is absent, and return its name.

    Raises:
        KitError: when the packages can't be had.
    """
    definition = "\n".join([suite, *_PACKAGES, *_HOOKS])
    image = f"localhost/aansluitkit-walk:{suite}-{hashlib.sha256(definition.encode()).hexdigest()[:12]}"
    if not has_image(image):
        say(f"making an image of bare Debian {suite}")
        archive = cache() / "image" / f"walk-{suite}.tar"
        archive.parent.mkdir(parents=True, exist_ok=True)
        hooks = [f"--customize-hook={hook}" for hook in _HOOKS]
        options = ("--quiet", "--variant=minbase", f"--include={','.join(_PACKAGES)}", *hooks)
        run("mmdebstrap", *options, suite, archive, *sources(suite))
        podman("import", "--change", "CMD=/sbin/init", "--change", "STOPSIGNAL=SIGRTMIN+3", archive, image)
        archive.unlink()
    return image
