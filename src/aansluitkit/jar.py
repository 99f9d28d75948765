"""The jar of ebms-admin, checked on the controller before any host changes.

``python -m aansluitkit.jar PLACE SHA256`` prints where the checked jar lies, or ends with one sentence and status 1.
PLACE is a file, or a URL of the release or of a mirror: what counts is the checksum.
"""

from __future__ import annotations

import re
import sys
import tempfile
import zipfile
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from aansluitkit.checksum import sha256_of
from aansluitkit.errors import KitError
from aansluitkit.project import cache

MAIN = "nl/clockwork/ebms/admin/StartEmbedded.class"
TIMEOUT = 60  # seconds without a byte
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PIECE = 1 << 20  # bytes


def checked(place: str, sha256: str) -> Path:
    """The jar at ``place``, whose SHA-256 in hexadecimal must be ``sha256``; a download is kept in the cache.

    Raises:
        KitError: when it can't be had, has another checksum, or is no ebms-admin.
    """
    wanted = sha256.lower()
    if not _SHA256.fullmatch(wanted):
        raise KitError(f"ebms_adapter_jar_sha256 is '{sha256}': write the 64 hexadecimal digits that sha256sum prints")
    if urlsplit(place).scheme not in ("http", "https"):
        return _judged(Path(place), place, wanted)
    kept = cache() / "jar" / f"{wanted}.jar"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=kept.parent) as folder:
            making = Path(folder) / kept.name
            _download(place, making)
            _judged(making, place, wanted).rename(kept)
    return _judged(kept, str(kept), wanted)


def _download(url: str, path: Path) -> None:
    try:
        with urlopen(url, timeout=TIMEOUT) as response, path.open("wb") as file:  # noqa: S310 - http and https alone
            while piece := response.read(_PIECE):
                file.write(piece)
    except (URLError, OSError) as error:
        raise KitError(
            f"ebms_adapter_jar: {url} can't be had: {error}; give the URL of a mirror that this machine reaches, or a "
            "file on it"
        ) from error


def _judged(path: Path, place: str, wanted: str) -> Path:
    try:
        found = sha256_of(path)
    except OSError as error:
        raise KitError(
            f"ebms_adapter_jar: {place} can't be read: {error.strerror}; put the jar of ebms-admin there"
        ) from error
    if found != wanted:
        raise KitError(
            f"ebms_adapter_jar: {place} has SHA-256 {found}, ebms_adapter_jar_sha256 is {wanted}: it is another "
            "release or was changed on the way; get the right one, or correct the checksum if you trust this one"
        )
    refuse_others(path, f"ebms_adapter_jar: {place}")
    return path.resolve()


def refuse_others(path: Path, name: str) -> None:
    """Refuse a file that is no ebms-admin; ``name`` is what the user knows it by.

    Raises:
        KitError: when it is none.
    """
    try:
        with zipfile.ZipFile(path) as jar:
            is_adapter = MAIN in jar.namelist()
    except (zipfile.BadZipFile, OSError):
        is_adapter = False
    if not is_adapter:
        raise KitError(
            f"{name} is no ebms-admin (it lacks {MAIN}): give ebms-admin-VERSION.jar of a release, not its sources or "
            "ebms-core"
        )


if __name__ == "__main__":
    try:
        print(checked(*sys.argv[1:3]))
    except KitError as error:
        sys.exit(f"aansluitkit: {error}")
