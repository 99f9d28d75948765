"""The connection: what one inventory says, typed and immutable.

Fields carry the names of the inventory's variables without their ``connection_`` prefix. No input or output
happens here; ``inventory`` loads, ``rules`` judges what needs more than one field, ``flows`` derives who talks
to whom.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from aansluitkit.connection.identifiers import Fqdn, Oin, check_fqdn, check_oin, shown
from aansluitkit.connection.place import OpenStack, Place
from aansluitkit.digikoppeling import OIN_TYPE

_NO_URL = re.compile(r"[^A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]", re.ASCII)
EXTERNAL = "external"  # the zone of the partner, and of everything that lies in no zone
MIGRATION = "migration"  # the zone of the second way to the partner, while the connection moves to another network
HTTP_PORT = 80  # of CRLs, which prove themselves by their signature
HTTPS_PORT = 443  # Digikoppeling Beveiligingsstandaarden TLS005


class Model(BaseModel):
    """Base of everything here: frozen, and an invented key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Environment(StrEnum):
    """Where a connection stands in the process of the seed (chapters 3 to 6)."""

    LAB = "lab"
    COMPLIANCE = "compliance"
    PREPROD = "preprod"
    PRODUCTION = "production"


class Kind(StrEnum):
    """A government organisation connects for good; a vendor's connection never reaches production (seed 1.2)."""

    GOVERNMENT = "government"
    VENDOR = "vendor"


class Network(StrEnum):
    """The network towards MijnOverheid (seed 3.3.3)."""

    INTERNET = "internet"
    DIGINETWERK = "diginetwerk"


class MessageStream(StrEnum):
    """The message standard of the case messages (seed 3.3.4)."""

    STUF = "stuf"
    MO_BERICHT = "mo-bericht"


class Profile(StrEnum):
    """The ebMS2 profiles of Digikoppeling (Koppelvlakstandaard ebMS2 chapter 2)."""

    BEST_EFFORT = "osb-be"
    RELIABLE = "osb-rm"
    BEST_EFFORT_SIGNED = "osb-be-s"
    RELIABLE_SIGNED = "osb-rm-s"
    BEST_EFFORT_ENCRYPTED = "osb-be-e"
    RELIABLE_ENCRYPTED = "osb-rm-e"

    @property
    def reliable(self) -> bool:
        """Whether acknowledgements, retries and duplicate elimination belong to the profile."""
        return self.value.startswith("osb-rm")

    @property
    def signed(self) -> bool:
        """Whether messages carry an XML signature; an encrypted profile always signs."""
        return self.value.endswith(("-s", "-e"))

    @property
    def encrypted(self) -> bool:
        """Whether payloads are encrypted."""
        return self.value.endswith("-e")


class Component(StrEnum):
    """What a host is for: the names of the inventory's groups."""

    FIREWALL = "firewall"
    NAME_SERVER = "name_server"
    LOAD_BALANCER = "load_balancer"
    ADAPTER = "adapter"
    DATABASE = "database"
    APPLICATION = "application"
    PARTNER = "partner"
    MANAGEMENT = "management"
    MONITORING = "monitoring"


def _check_url(value: str) -> str:
    if _NO_URL.search(value):
        raise ValueError(f"'{shown(value)}' holds a space or sign that no URL has (RFC 3986): write https://host/path")
    try:
        parts = urlsplit(value)
    except ValueError as error:
        raise ValueError(f"'{value}' is no URL ({error}): write https://host/path") from error
    if parts.scheme != "https":
        raise ValueError(f"'{value}' is not https; Digikoppeling allows HTTPS alone (TLS001): write https://…")
    try:
        parts.port  # noqa: B018 - raises when it is none
    except ValueError as error:
        raise ValueError(f"'{value}' has no valid port: leave the port out, it is {HTTPS_PORT}") from error
    if parts.username or parts.query or parts.fragment:
        raise ValueError(f"'{value}' holds more than host and path: write https://host/path")
    check_fqdn(parts.hostname or "")
    if len(parts.path) < 2:
        raise ValueError(f"'{value}' has no path: add the adapter's, such as /ebms")
    return value


def port_of(endpoint: str) -> int:
    """The port that ``endpoint`` names, or the one of HTTPS."""
    return urlsplit(endpoint).port or HTTPS_PORT


def other_port(endpoint: str) -> str:
    """The sentence on an ``endpoint`` that names another port than TLS005 allows."""
    return f"'{endpoint}' names port {port_of(endpoint)}; Digikoppeling demands {HTTPS_PORT} (TLS005): leave it out"


def _check_endpoint(value: str) -> str:
    if port_of(_check_url(value)) != HTTPS_PORT:
        raise ValueError(other_port(value))
    return value


def _text(pattern: str, what: str) -> AfterValidator:
    """A text that is ``pattern`` from begin to end, or else is told to be no ``what``."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if compiled.fullmatch(value) is None:
            raise ValueError(f"'{shown(value)}' is not accepted; expected is {what}: correct it")
        return value

    return AfterValidator(check)


# A name as people write it: it goes into certificates, documents and logs.
Title = Annotated[
    str, _text(r"(?=.*\S)[^\x00-\x1f\x7f\u2028\u2029]{1,200}", "a name of 1 to 200 characters on one line")
]
Word = Annotated[str, _text(r"\S+", "a word without spaces")]
Name = Annotated[str, _text(r"[a-z0-9][a-z0-9-]{0,62}", "a name of at most 63 small letters, digits and -")]
Endpoint = Annotated[str, AfterValidator(_check_endpoint)]
PartnerEndpoint = Annotated[str, AfterValidator(_check_url)]  # its port is judged by the rules
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Reason = Annotated[str, Field(min_length=10)]


def _check_range(value: object) -> IPv4Network:
    try:
        return IPv4Network(str(value))
    except ValueError as error:
        if ":" in str(value):
            raise ValueError(f"'{shown(str(value))}' is no IPv4; {NO_IPV6}, such as 10.1.2.0/28") from error
        raise ValueError(
            f"'{value}' is no IPv4 address or network ({error}): write one address, or a network such as 10.1.2.0/28"
        ) from error


NO_IPV6 = "IPv6 is not supported: write an IPv4 address or network"
ZoneName = Annotated[str, _text(r"[a-z][a-z0-9_-]{0,31}", "a name of at most 32 small letters, digits, _ and -")]
# One address, which is a network of one, or a network.
Range = Annotated[IPv4Network, BeforeValidator(_check_range)]


class Contact(Model):
    """A person or desk to call."""

    name: Title
    email: Annotated[str, _text(r"[^@\s]+@[^@\s]+\.[^@\s]+", "an e-mail address")]
    phone: Annotated[str, _text(r"[+0-9][0-9 ()-]{5,}", "a telephone number such as +31 70 000 00 00")]


class Contacts(Model):
    """Who answers for what: the roles of the seed (2.1.2) and the operators of the path (4.4.2)."""

    signatory: Contact
    project_lead: Contact
    technical_specialist: Contact
    tester: Contact
    user: Contact
    network_operator: Contact
    platform_operator: Contact


class Organisation(Model):
    """The organisation that connects: an OIN for government, an HRN for a vendor."""

    name: Title
    oin: Oin

    @property
    def party_id(self) -> str:
        """Its PartyId as REST has it: ``type:value``."""
        return f"{OIN_TYPE}:{self.oin}"


class PartnerAddresses(Model):
    """Where the partner is, by addresses or networks; inbound and outbound ones differ as a rule (seed 4.4.2)."""

    inbound_addresses: Annotated[tuple[Range, ...], Field(min_length=1)]
    outbound_addresses: Annotated[tuple[Range, ...], Field(min_length=1)]

    @property
    def address(self) -> IPv4Address:
        """The first address that messages go to: what the lab's name server answers and probes try."""
        return next(iter(self.inbound_addresses[0].hosts()))


class Partner(PartnerAddresses):
    """The other side."""

    name: Title
    # The Compliancevoorziening has a type and number of its own (urn:cv:oin); everyone else an OIN.
    party_id_type: Word = OIN_TYPE
    oin: str
    endpoint: PartnerEndpoint
    contact: Contact

    @field_validator("oin")
    @classmethod
    def _check_oin(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("party_id_type") == OIN_TYPE:
            return check_oin(value)
        if not value.isalnum():
            raise ValueError(f"'{value}' holds more than letters and digits: write the partner's number")
        return value

    @property
    def party_id(self) -> str:
        """Its PartyId as REST has it: ``type:value``."""
        return f"{self.party_id_type}:{self.oin}"

    @property
    def port(self) -> int:
        """Port of the endpoint."""
        return port_of(self.endpoint)

    @property
    def host_name(self) -> str:
        """Host name of the endpoint."""
        return str(urlsplit(self.endpoint).hostname)

    @property
    def path(self) -> str:
        """Path of the endpoint."""
        return urlsplit(self.endpoint).path


class Zone(Model):
    """A network segment."""

    network: Range


INTERNAL = "internal-"  # begins the names of files of the internal authority
INTERNAL_FILES = (f"{INTERNAL}certificate.pem", f"{INTERNAL}key.pem", f"{INTERNAL}trust.pem")


class Host(Model):
    """A machine of the inventory: its components and its address in each zone that it stands in."""

    name: Annotated[
        str,
        _text(
            r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", "a name of at most 32 small letters, digits and -, none at its ends"
        ),
    ]
    components: Annotated[tuple[Component, ...], Field(min_length=1)]
    addresses: Annotated[dict[str, IPv4Address], Field(min_length=1)]

    @property
    def zone(self) -> str:
        """The zone of the host's first address: its own, for all hosts but the firewall."""
        return next(iter(self.addresses))

    @property
    def address(self) -> IPv4Address:
        """The address in ``zone``."""
        return self.addresses[self.zone]

    @property
    def internal_files(self) -> tuple[str, ...]:
        """The files of the internal authority that the host needs: to show itself, or only to trust others."""
        if {Component.ADAPTER, Component.PARTNER, Component.DATABASE} & {*self.components}:
            return INTERNAL_FILES
        return INTERNAL_FILES[-1:] if Component.APPLICATION in self.components else ()


class ServiceAction(Model):
    """One action of a service and who sends it: ``SR`` (we request) or ``SP`` (the partner provides)."""

    name: Word
    sender: Literal["SR", "SP"]


class Service(Model):
    """A service of the CPA; MijnOverheid gives its identification after application (seed 4.3.4).

    Two of one name and different type are two services (CPP/CPA 2.0 section 8.4.9), each with a profile of its own.
    """

    type: Word = "urn:osb:services"
    name: Word
    profile: Profile = Profile.RELIABLE
    actions: Annotated[tuple[ServiceAction, ...], Field(min_length=1)]


class Retries(Model):
    """Reliable messaging of the CPA; the defaults are the best practice of 8 times 3 hours (BP ch. 3)."""

    count: Annotated[int, Field(ge=0, le=100)] = 8
    interval: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(hours=3)
    persist_duration: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(hours=27)


class Roles(Model):
    """What the CPA calls the parties' roles: one for each party (KV ch. 5, Role); these are MijnOverheid's."""

    requester: Word = "SR"
    provider: Word = "SP"


CpaId = Annotated[str, _text(r"[A-Za-z0-9$_.-]{1,255}", "at most 255 letters, digits, $, _, . and -")]


class CpaParameters(Model):
    """What the CPA says beyond parties, endpoints and certificates.

    A ``file`` that came from the Creatievoorziening or the partner is used as it is, when it agrees with all this.
    ``retired`` are ids of former CPAs; an adapter keeps each until it stands there.
    """

    id: CpaId
    file: Path | None = None
    retired: tuple[CpaId, ...] = ()
    start: AwareDatetime
    end: AwareDatetime
    roles: Roles = Roles()
    sync_reply: bool = False
    services: Annotated[tuple[Service, ...], Field(min_length=1)]
    retries: Retries = Retries()

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """The profiles of the services, each once."""
        return tuple(dict.fromkeys(service.profile for service in self.services))

    @property
    def reliable(self) -> bool:
        """Whether any service is, so that retries mean something."""
        return any(profile.reliable for profile in self.profiles)

    @property
    def signals(self) -> Profile:
        """The profile of the default channel: the one with the highest security (BP ch. 3, Default Message Channel)."""
        return max(self.profiles, key=lambda profile: (profile.encrypted, profile.signed))

    def valid_at(self, moment: datetime) -> bool:
        """Whether ``moment`` lies between start and end."""
        return self.start <= moment < self.end


class NextCpa(Model):
    """The CPA that takes over. It has an id of its own, for both count while their dates overlap."""

    id: CpaId
    file: Path | None = None
    start: AwareDatetime
    end: AwareDatetime


PARTIES = ("organisation", "partner")
USES = ("signing", "encryption", "server", "client")  # of a party's certificates, in the CPA's order
APART = USES[:2]  # those that a certificate apart from the one for TLS may be for


class Certificates(Model):
    """Files with each party's certificate (PEM, leaf first), as the CPA names them.

    A party that has others to sign with, or to have payloads encrypted for, names these too.
    """

    organisation: Path
    partner: Path
    organisation_signing: Path | None = None
    organisation_encryption: Path | None = None
    partner_signing: Path | None = None
    partner_encryption: Path | None = None

    def of(self, party: str, use: str) -> Path:
        """The file for ``use`` (client, server, signing or encryption) of ``party`` (organisation or partner)."""
        own: Path | None = getattr(self, f"{party}_{use}", None)
        found: Path = own or getattr(self, party)
        return found

    def apart(self, party: str) -> dict[str, Path]:
        """The files of ``party`` that are for one use apart from TLS, by that use."""
        return {use: path for use in APART if (path := getattr(self, f"{party}_{use}"))}


CertificateName = Literal[
    "organisation",
    "organisation_signing",
    "organisation_encryption",
    "partner",
    "partner_signing",
    "partner_encryption",
]


class Renewal(Model):
    """A renewal of certificates, of either party or both, that is under way (docs/rotate.md).

    ``certificates`` are those of ``connection_certificates`` that change; ``cpa`` is the one that names them.
    """

    cpa: NextCpa
    certificates: Annotated[dict[CertificateName, Path], Field(min_length=1)]


def _check_sha256(value: object) -> str:
    digits = str(value).replace(":", "").replace(" ", "").lower()
    if re.fullmatch("[0-9a-f]{64}", digits) is None:
        raise ValueError(f"'{value}' is no SHA-256 fingerprint: write its 64 hexadecimal digits, between quotes")
    return digits


class TrustedRoot(Model):
    """A root that certificates may end in: PKIoverheid publishes its fingerprint, and when it ends."""

    name: Annotated[str, Field(min_length=1)]
    sha256: Annotated[str, BeforeValidator(_check_sha256)]
    ends: date | None = None


class Trust(Model):
    """Whom this connection trusts: exactly these roots, several while one generation takes over from the other.

    ``folder`` has the certificates of authorities, roots and intermediates, as PKIoverheid publishes them.
    """

    folder: Path
    roots: Annotated[dict[str, TrustedRoot], Field(min_length=1)]


class ExtraFlow(Model):
    """A flow that does not follow from the topology; ``source`` and ``destination`` name hosts or zones."""

    source: str
    destination: str
    protocol: Literal["tcp", "udp"] = "tcp"
    port: Port
    reason: Reason


class TestCertificates(Model):
    """That the partner asked for test certificates in preprod, and why (seed 4.3.1)."""

    reason: Reason


class Ports(Model):
    """Ports inside; outside it is 443 (TLS005)."""

    ebms: Port = 8443
    rest: Port = 8080
    health: Port = 8008
    load_balancer_status: Port = 8404
    firewall_state: Port = 3780
    database: Port = 5432
    host_metrics: Port = 9100
    database_metrics: Port = 9187
    monitoring: Port = 9090


class DnsWay(StrEnum):
    """How the connection's names come to be known: by name servers of our own, or by a list that others enter."""

    ROLE = "role"
    LIST = "list"


class View(StrEnum):
    """Who asks for a name: a host of ours, or anybody else, by the zone of the link that leads there."""

    INTERNAL = "internal"
    EXTERNAL = EXTERNAL
    MIGRATION = MIGRATION


KeyName = Annotated[str, _text(r"[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*", "the name of a key, without a dot at its end")]


class DnsUpdates(Model):
    """A primary name server of others that takes updates (RFC 2136), signed with ``key`` (TSIG, RFC 8945).

    Its secret stands in ``secret_dns_update_`` and the view, such as ``secret_dns_update_external``.
    """

    server: IPv4Address
    key: KeyName
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"


class Dns(Model):
    """Who is asked for names.

    ``forwarders`` are asked by our own name servers for names of others, and ``published_to`` are those outside who ask
    ours: resolvers of the partner, or 0.0.0.0/0 where the parent zone names them to the world. With way ``list`` there
    are none of our own, and all hosts ask ``resolvers``; the records of a view in ``updates`` are entered there, the
    others by people.
    """

    way: DnsWay = DnsWay.ROLE
    forwarders: tuple[IPv4Address, ...] = ()
    published_to: tuple[Range, ...] = ()
    resolvers: tuple[IPv4Address, ...] = ()
    updates: dict[View, DnsUpdates] = {}


class PackageSource(Model):
    """Where the hosts get the distribution's packages: a mirror, or the proxy on the way there."""

    address: IPv4Address
    port: Port = HTTPS_PORT


class Diginetwerk(Model):
    """The private network of the Dutch government, as its operator delivers it; nothing else is sent there.

    ``router`` is the way to ``ranges``, and ``resolvers`` know the partner's name as it is there.
    """

    ranges: Annotated[tuple[Range, ...], Field(min_length=1)]
    router: IPv4Address
    resolvers: Annotated[tuple[IPv4Address, ...], Field(min_length=1)]


class Migration(Model):
    """The network to which the connection moves, the other one of the two, beside the present one (docs/migrate.md).

    Both are open at once, so that each party goes over when it likes; ``sends`` is whether our messages leave by it.
    """

    inbound_address: IPv4Address
    outbound_address: IPv4Address
    partner: PartnerAddresses
    sends: Annotated[bool, Field(strict=True)] = False


@dataclass(frozen=True, eq=False)
class Link:
    """A way to the partner: its network, the zone where it ends here, and who has the addresses of both parties on it.

    ``path`` goes before the names of these in the inventory.
    """

    network: Network
    zone: str
    place: Connection | Migration
    path: str = ""

    @property
    def inbound_address(self) -> IPv4Address:
        """Ours, that the partner sends to."""
        return self.place.inbound_address

    @property
    def outbound_address(self) -> IPv4Address:
        """Ours, that the partner sees."""
        return self.place.outbound_address

    @property
    def own_addresses(self) -> Iterator[tuple[str, IPv4Address]]:
        """Both, with their paths below ``connection_``."""
        yield f"{self.path}inbound_address", self.inbound_address
        yield f"{self.path}outbound_address", self.outbound_address

    @property
    def partner(self) -> PartnerAddresses:
        """Where the partner is on it."""
        return self.place.partner

    @property
    def suffix(self) -> str:
        """What tells names of this link from those of the present one, which have nothing."""
        return f"-{self.zone}" if self.path else ""


class Connection(Model):
    """One connection in one environment."""

    name: Name
    # Shows how an inventory looks: documentation addresses and example names are right here, deploying is refused.
    example: Annotated[bool, Field(strict=True)] = False
    environment: Environment
    kind: Kind
    network: Network
    message_stream: MessageStream
    organisation: Organisation
    contacts: Contacts
    partner: Partner
    endpoint: Endpoint
    # Where the partner's TLS ends: the adapter judges its certificate itself, or the load balancer passes it on.
    tls_ends_at: Literal[Component.ADAPTER, Component.LOAD_BALANCER] = Component.ADAPTER
    inbound_address: IPv4Address
    outbound_address: IPv4Address
    zones: Annotated[dict[ZoneName, Zone], Field(min_length=2)]
    # What the hosts of one component share, one of them carrying it at a time: an address in each zone named.
    virtual_addresses: dict[Component, dict[ZoneName, IPv4Address]] = {}
    hosts: Annotated[dict[str, Host], Field(min_length=1)]
    certificates: Certificates
    renewal: Renewal | None = None
    # Where the CRLs of both parties' chains are served (BEV PKI004): one address or a network each.
    crl_addresses: tuple[Range, ...] = ()
    test_certificates_allowed: TestCertificates | None = None
    trust: Trust | None = None
    # The afzenderID that Logius sends after application (seed 4.3.4); the Service-ID is the CPA's service name.
    sender_id: Word | None = None
    cpa: CpaParameters
    ports: Ports = Ports()
    dns: Dns = Dns()
    # Whom the hosts themselves need; nothing else of the kind is let out.
    package_sources: tuple[PackageSource, ...] = ()
    time_servers: tuple[IPv4Address, ...] = ()
    diginetwerk: Diginetwerk | None = None
    migration: Migration | None = None
    extra_flows: tuple[ExtraFlow, ...] = ()
    openstack: OpenStack | None = None

    @property
    def following(self) -> Connection | None:
        """The connection as it is to be after the renewal that is under way; None without one."""
        if self.renewal is None:
            return None
        changed = {str(name): path for name, path in self.renewal.certificates.items()}
        certificates = self.certificates.model_copy(update=changed)
        cpa = self.cpa.model_copy(update=self.renewal.cpa.model_dump())
        return self.model_copy(update={"certificates": certificates, "cpa": cpa, "renewal": None})

    @property
    def links(self) -> tuple[Link, ...]:
        """The ways to the partner: the present one, and during a migration the one that takes over."""
        present = Link(self.network, EXTERNAL, self)
        if self.migration is None:
            return (present,)
        [other] = {*Network} - {self.network}
        return (present, Link(other, MIGRATION, self.migration, path="migration."))

    @property
    def outer_zones(self) -> tuple[str, ...]:
        """The zones where the links end, in their order; all others are our own."""
        return tuple(link.zone for link in self.links)

    @property
    def own_addresses(self) -> Iterator[tuple[str, IPv4Address]]:
        """The connection's own addresses on every link, with their paths below ``connection_``."""
        for link in self.links:
            yield from link.own_addresses

    @property
    def sending(self) -> Link:
        """The link by which our messages leave."""
        return self.links[-1] if self.migration and self.migration.sends else self.links[0]

    def link_to(self, network: IPv4Network) -> Link:
        """The link by which ``network`` is reached, which lies outside: Diginetwerk's for what is its own alone."""
        theirs = self.diginetwerk.ranges if self.diginetwerk else ()
        wanted = Network.DIGINETWERK if any(network.subnet_of(one) for one in theirs) else Network.INTERNET
        return next((link for link in self.links if link.network is wanted), self.links[0])

    @property
    def full_name(self) -> str:
        """``<name>.<environment>``: what nothing else is called, in Pulumi's stacks, in logs and in tables."""
        return f"{self.name}.{self.environment}"

    @property
    def place(self) -> Place:
        """Where the hosts live; without a cloud's settings others made them."""
        if self.environment is Environment.LAB:
            return Place.PODMAN
        return Place.OPENSTACK if self.openstack else Place.EXISTING

    def carried(self, address: IPv4Address) -> IPv4Address:
        """What the firewall carries for the public ``address``: itself, or what the cloud's router makes of it."""
        if not self.openstack:
            return address
        fixed = {
            self.inbound_address: self.openstack.inbound_fixed_address,
            self.outbound_address: self.openstack.outbound_fixed_address,
        }
        return fixed[address]

    @property
    def host_name(self) -> Fqdn:
        """Host name of the endpoint."""
        return str(urlsplit(self.endpoint).hostname)

    @property
    def path(self) -> str:
        """Path of the endpoint."""
        return urlsplit(self.endpoint).path

    @property
    def crl_host_name(self) -> Fqdn:
        """Where the lab's authorities publish their CRLs; elsewhere the certificates alone say so."""
        return f"crl.{self.partner.host_name.partition('.')[2]}"

    @property
    def own_hosts(self) -> list[Host]:
        """The hosts that the kit configures: all but the partner's, and the manager's where all this comes from."""
        others = {Component.PARTNER, Component.MANAGEMENT}
        return [host for host in self.hosts.values() if not others & {*host.components}]

    def hosts_of(self, component: Component) -> list[Host]:
        """The hosts of ``component``, in the inventory's order."""
        return [host for host in self.hosts.values() if component in host.components]

    def host_of(self, component: Component) -> Host:
        """The first host of ``component``; the rules see to it that there is one."""
        return self.hosts_of(component)[0]

    def virtual_address(self, host: Host, zone: str) -> IPv4Address | None:
        """The address that ``host`` shares with others in ``zone``, if it does."""
        shared = (self.virtual_addresses.get(component, {}).get(zone) for component in host.components)
        return next((address for address in shared if address), None)

    @property
    def offload(self) -> bool:
        """Whether the load balancers end TLS before the adapters."""
        return self.tls_ends_at is Component.LOAD_BALANCER

    @property
    def judges(self) -> list[Host]:
        """The hosts that meet the partner's certificate and judge it: adapters, and load balancers that end TLS."""
        judging = {Component.ADAPTER, self.tls_ends_at}
        return [host for host in self.hosts.values() if judging & {*host.components}]

    @property
    def load_balancer_address(self) -> IPv4Address:
        """Where the partner's messages go, inside: the load balancer's own address, or the one that several share."""
        balancer = self.host_of(Component.LOAD_BALANCER)
        return self.virtual_address(balancer, balancer.zone) or balancer.address

    def gateway(self, zone: str) -> IPv4Address:
        """The firewall's address in ``zone``, or the one that several share: the only way out of it."""
        firewall = self.host_of(Component.FIREWALL)
        return self.virtual_address(firewall, zone) or firewall.addresses[zone]

    @property
    def domain(self) -> str:
        """The DNS zone of the connection: the endpoint's name without its first label."""
        return self.host_name.partition(".")[2]

    def name_of(self, host: Host) -> str:
        """The host's own name in the connection's DNS zone."""
        return f"{host.name}.{self.domain}"
