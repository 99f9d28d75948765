"""A new inventory: what can be known is written, what only people or Logius know is left as a blank (TODO)."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from jinja2 import Environment as Templates
from jinja2 import FileSystemLoader, StrictUndefined
from pydantic import TypeAdapter, ValidationError

from aansluitkit.connection import Environment, Kind
from aansluitkit.connection.identifiers import check_hrn, check_oin, shown
from aansluitkit.connection.model import Contacts, Endpoint, Name, Title
from aansluitkit.errors import KitError
from aansluitkit.fleet.addresses import Place, blank_place, take
from aansluitkit.fleet.secrets import encrypted_secrets
from aansluitkit.project import STATE, TEMPLATES

SHARED = "shared"
LAB = "lab"  # the kit's own, of which a customer's differs in who connects alone
PATH = "/ebms"  # of an endpoint that is given as a host's name
CPA_DAYS = 365
_NAME = TypeAdapter[str](Name)
_TITLE = TypeAdapter[str](Title)
_ENDPOINT = TypeAdapter[str](Endpoint)


@dataclass(frozen=True)
class Order:
    """What a new customer is: ``endpoints`` holds a URL for each environment that is wanted, preprod first.

    The compliance environment stands on the hosts of preprod, so it comes with that alone.
    """

    name: str
    kind: Kind
    organisation: str
    oin: str
    endpoints: dict[Environment, str]


def environments_of(kind: Kind) -> tuple[Environment, ...]:
    """The environments that a customer of ``kind`` gets; a vendor's stops before production (seed 1.2)."""
    return (Environment.PREPROD,) if kind is Kind.VENDOR else (Environment.PREPROD, Environment.PRODUCTION)


def accept_name(value: str, root: Path) -> str:
    """Return ``value`` when it can be the name of a new customer below ``root``.

    Raises:
        ValueError: when it is no name, or a customer has it.
    """
    _accept(_NAME, value)
    if (root / value).exists() or value == SHARED:
        raise ValueError(
            f"{root / value} is there already; nothing is overwritten: take another name, or remove it first"
        )
    return value


def accept_oin(value: str, kind: Kind, root: Path) -> str:
    """Return ``value`` when it can be the OIN, or a vendor's HRN, of a new customer below ``root``.

    Raises:
        ValueError: when it is built wrongly, or is the OIN of another customer.
    """
    check_oin(value)
    if kind is Kind.VENDOR:
        return check_hrn(value)
    for file in sorted(root.glob("*/customer.yml")):
        if value in file.read_text(encoding="utf-8", errors="replace"):
            raise ValueError(f"'{value}' is the OIN of {file.parent} already: correct it, or go on with that customer")
    return value


def accept_endpoint(value: str) -> str:
    """Return the endpoint's URL for ``value``, a host's name or a URL.

    Raises:
        ValueError: with the model's sentence.
    """
    return _accept(_ENDPOINT, value if "://" in value else f"https://{value}{PATH}")


def accept_own_endpoint(value: str, root: Path) -> str:
    """Return the endpoint's URL for ``value`` when it can be that of a new customer below ``root``.

    Raises:
        ValueError: when it is no endpoint, or another customer has one on that host.
    """
    url = accept_endpoint(value)
    host = str(urlsplit(url).hostname)
    for file in sorted(root.glob("*/*/group_vars/all/connection.yml")):
        if f"//{host}/" in file.read_text(encoding="utf-8", errors="replace").lower():
            raise ValueError(f"'{host}' is the endpoint of {file.parents[3]} already: give each customer its own")
    return url


def _accept(kind: TypeAdapter[str], value: str) -> str:
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


def accept_organisation(value: str) -> str:
    """Return ``value`` when it can be an organisation's name in an inventory.

    Raises:
        ValueError: when it is none, or Ansible would take it for a template.
    """
    if re.search(r"{[{%#]", value):
        raise ValueError(f"'{shown(value)}' can't be an organisation's name: write it as in the OIN register")
    return _accept(_TITLE, value.strip())


def shared_defaults(root: Path, environment: Environment | None = None) -> dict[str, Any]:
    """What the shared defaults below ``root`` set, for all environments and for ``environment``; templates unread.

    Raises:
        KitError: when a file is not there or no mapping.
    """
    found: dict[str, Any] = {}
    for name in ("all", *([environment.value] if environment else [])):
        file = root / SHARED / f"{name}.yml"
        try:
            read = yaml.load(file.read_text(encoding="utf-8"), _Tolerant)  # noqa: S506 - a SafeLoader
        except FileNotFoundError as error:
            raise KitError(f"{file} is not there; customers link it: copy the kit's inventories/shared") from error
        except OSError as error:
            raise KitError(f"{file} can't be read: {str(error.strerror).lower()}: mend that") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise KitError(f"{file} can't be read as YAML: {' '.join(str(error).split())}: mend it") from error
        if not isinstance(read, dict):
            raise KitError(f"{file} holds no variables: write 'name: value' lines, as in the kit's inventories/shared")
        found.update(read)
    return found


def make(order: Order, root: Path) -> list[Path]:
    """Write the customer of ``order`` below ``root``, whole or not at all, and return its inventories.

    Raises:
        KitError: when the shared defaults are not there, a pool of addresses is used up, or the vault can't be used.
    """
    customer = root / order.name
    making = Path(tempfile.mkdtemp(prefix=f".{order.name}.", dir=root))
    try:
        for path, text in _files(order, root):
            file = making / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        for environment in order.endpoints:
            _link(making / environment, _links(environment, root))
        making.chmod(0o755)
        making.rename(customer)
    except BaseException:
        shutil.rmtree(making)
        raise
    return [customer / environment for environment in order.endpoints]


def _files(order: Order, root: Path) -> Iterator[tuple[Path, str]]:
    """Each file of the customer, below its folder."""
    templates = _templates()
    yield (
        Path("customer.yml"),
        templates.get_template("customer.yml.j2").render(
            vars(order), contacts=Contacts.model_fields, shared=shared_defaults(root)
        ),
    )
    taken: set[str] = set()
    places: dict[Environment, Place] = {}
    for environment, endpoint in order.endpoints.items():
        folder = Path(environment)
        if environment is Environment.LAB:
            yield folder / "group_vars/all/connection.yml", _lab(order, root, endpoint)
            continue
        shared = shared_defaults(root, environment)
        on_preprod = environment is Environment.COMPLIANCE
        place = places[Environment.PREPROD] if on_preprod else take(shared, root, taken) or blank_place()
        places[environment] = place
        values = {
            **vars(order),
            **_agreement(order, environment),
            "shared": shared,
            "endpoint": endpoint,
            "place": place,
        }
        template = templates.get_template("compliance.yml.j2" if on_preprod else "connection.yml.j2")
        yield folder / "group_vars/all/connection.yml", template.render(values)
        if on_preprod:
            continue
        yield folder / "hosts.yml", templates.get_template("hosts.yml.j2").render(groups=_groups(environment, place))
        secrets = encrypted_secrets()
        yield folder / "group_vars/all/secrets.yml", templates.get_template("secrets.yml.j2").render(secrets=secrets)


def _lab(order: Order, root: Path, endpoint: str) -> str:
    return (
        _templates()
        .get_template("lab.yml.j2")
        .render(
            endpoint=endpoint,
            contacts=Contacts.model_fields,
            shared=shared_defaults(root),
            state=os.path.relpath(STATE, (root / order.name / LAB).resolve()),
        )
    )


def _agreement(order: Order, environment: Environment) -> dict[str, str]:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    partner = "CV" if environment is Environment.COMPLIANCE else f"MIJNOVERHEID-LZ-{environment.upper()}"
    return {
        "cpa": f"{partner}_{order.oin}_{order.name}_0001",
        "start": f"{today:%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{today + timedelta(days=CPA_DAYS):%Y-%m-%dT%H:%M:%SZ}",
    }


def _groups(environment: Environment, place: Place) -> dict[str, dict[str, dict[str, str]]]:
    """The hosts of an environment; their names say which, for no host may be of two (seed 4.3.1)."""
    names = {
        "firewall": ["fw"],
        "name_server": ["ns"],
        "load_balancer": ["lb"],
        "adapter": ["adapter-1", "adapter-2"],
        "application": ["application"],
        "database": ["db"],
        "management": ["management"],
    }
    return {group: {f"{environment}-{host}": place.hosts[host] for host in hosts} for group, hosts in names.items()}


def _links(environment: Environment, root: Path) -> dict[str, str]:
    """Link and target of what an environment has in common with others; what sorts later goes before.

    Raises:
        KitError: when the lab of ``root`` is not there.
    """
    variables = "group_vars/all"
    common = "../../../.."  # from there to ``root``
    links = {
        f"{variables}/00-shared.yml": f"{common}/{SHARED}/all.yml",
        f"{variables}/10-customer.yml": "../../../customer.yml",
    }
    if environment is Environment.COMPLIANCE:
        links |= {
            "hosts.yml": f"../{Environment.PREPROD}/hosts.yml",
            f"{variables}/secrets.yml": f"../../../{Environment.PREPROD}/{variables}/secrets.yml",
        }
    if environment is not Environment.LAB:
        return {**links, f"{variables}/05-shared.yml": f"{common}/{SHARED}/{environment}.yml"}
    files = sorted(path.name for path in (root / LAB / variables).glob("*.yml") if path.name != "customer.yml")
    if not files or not (root / LAB / "hosts.yml").is_file():
        raise KitError(f"{root / LAB} is not there; the lab of a customer links it: copy the kit's inventories/lab")
    links |= {f"{variables}/05-{name}": f"{common}/{LAB}/{variables}/{name}" for name in files}
    return {**links, "hosts.yml": f"../../{LAB}/hosts.yml"}


def _link(folder: Path, links: dict[str, str]) -> None:
    for link, target in links.items():
        (folder / link).symlink_to(target)


def _templates() -> Templates:
    templates = Templates(  # noqa: S701 - YAML, where quoting is the filter's work
        loader=FileSystemLoader(TEMPLATES / "inventory"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["quoted"] = lambda text: json.dumps(text, ensure_ascii=False)
    return templates


class _Tolerant(yaml.SafeLoader):
    """Takes Ansible's own tags, such as !vault, for something unread."""


_Tolerant.add_multi_constructor("!", lambda loader, suffix, node: None)
