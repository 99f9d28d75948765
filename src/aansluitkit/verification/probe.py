"""What a check does on a host: standard library only, because hosts have nothing else.

Called with one argument, a JSON request in base64; prints one JSON answer. ``do`` names the function. Nothing is
sent but what the request says, and every wait has a bound (``timeout``, seconds).
"""

import base64
import collections
import difflib
import errno
import http.client
import json
import os
import pathlib
import re
import resource
import selectors
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import time
import warnings
import zlib


def resolve(name, **_):
    """Addresses that this host's resolver gives for ``name``."""
    try:
        found = socket.getaddrinfo(name, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
    except OSError as error:
        return {"addresses": [], "error": str(error)}
    return {"addresses": sorted({entry[4][0] for entry in found})}


def resolvers(**_):
    """The name servers that this host is set to ask, in that order (resolv.conf(5))."""
    lines = pathlib.Path("/etc/resolv.conf").read_text().splitlines()
    words = [line.split() for line in lines]
    return {"servers": [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]}


def ask(questions, timeout=2, attempts=3, **_):
    """Ask each ``[server, name, type]`` over UDP; what comes is ``values`` (sorted), ``code`` and ``signed``.

    Types are A, PTR and SOA, of which no value is read; ``code`` is the answer's (RFC 1035 section 4.1.1), or -1 when
    none came. All at once: a server that is silent takes its time but once.
    """
    answers = {}
    with selectors.DefaultSelector() as selector:
        for number, (server, name, kind) in enumerate(questions):
            asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            asking.connect((server, 53))
            selector.register(asking, selectors.EVENT_READ, (number, _question(number, name, kind), _TYPES[kind]))
        for _attempt in range(attempts):
            for key in selector.get_map().values():
                _send(key.fileobj, key.data[1])
            until = time.monotonic() + timeout
            while selector.get_map() and time.monotonic() < until:
                for key, _ in selector.select(0.1):
                    answer = _answer(key.fileobj, *key.data)
                    if answer:
                        answers[key.data[0]] = answer
                        selector.unregister(key.fileobj)
                        key.fileobj.close()
        for key in selector.get_map().values():
            key.fileobj.close()
    silent = {"values": [], "code": -1, "signed": False}
    return {"answers": [answers.get(number, silent) for number in range(len(questions))]}


_TYPES = {"A": 1, "SOA": 6, "PTR": 12}
_SIGNATURE = 46  # RFC 4034 section 3


def _question(number, name, kind):
    """A question that asks for recursion and, by EDNS, for signatures (RFC 1035 section 4, RFC 6891, RFC 3225)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    head = struct.pack(">6H", number, 0x0100, 1, 0, 0, 1)
    return head + labels + struct.pack(">BHH", 0, _TYPES[kind], 1) + struct.pack(">BHHIH", 0, 41, 1232, 0x8000, 0)


def _send(asking, question):
    try:
        asking.send(question)
    except OSError:
        pass  # an ICMP message of the time before, or no way there: nothing comes


def _answer(asking, number, _asked, kind):
    """What was received, or nothing when that is no answer to the question."""
    try:
        told = asking.recv(4096)
        found, flags, questions, count = struct.unpack(">4H", told[:8])
        if found == number and flags & 0x8000:
            return {"code": flags & 15, **_records(told, questions, count, kind)}
    except (OSError, struct.error, IndexError, UnicodeDecodeError):
        pass  # an ICMP message, or no DNS
    return None


def _records(told, questions, count, kind):
    """The values of type ``kind`` in the answer section of ``told``, and whether it holds a signature."""
    at = 12
    for _ in range(questions):
        at = _name(told, at)[1] + 4
    values, signed = [], False
    for _ in range(count):
        at = _name(told, at)[1]
        type_, _class, _ttl, length = struct.unpack(">HHIH", told[at : at + 10])
        at += 10
        if type_ == kind == _TYPES["A"]:
            values.append(socket.inet_ntoa(told[at : at + 4]))
        elif type_ == kind == _TYPES["PTR"]:
            values.append(_name(told, at)[0])
        signed = signed or type_ == _SIGNATURE
        at += length
    return {"values": sorted(values), "signed": signed}


def _name(told, at):
    """The name at ``at``, which may go on before it (RFC 1035 section 4.1.4), and where it ends here."""
    labels, end = [], None
    while told[at]:
        if told[at] & 0xC0 == 0xC0:
            end = end or at + 2
            before = struct.unpack(">H", told[at : at + 2])[0] & 0x3FFF
            if before >= at:
                raise IndexError(before)
            at = before
        else:
            labels.append(told[at + 1 : at + 1 + told[at]].decode())
            at += 1 + told[at]
    return ".".join(labels), end or at + 1


def connect(targets, timeout=2, **_):
    """Try TCP to each ``[address, port]``: open, refused (a host answered no), filtered (nothing) or unreachable."""
    return {"outcomes": _attempts(targets, timeout, socket.SOCK_STREAM)}


def query(targets, timeout=2, **_):
    """Ask each UDP ``[address, port]`` for the DNS root, or the time: open, refused, filtered or unreachable.

    Open means that anything came back; a service that does not answer what it does not know looks filtered.
    """
    return {"outcomes": _attempts(targets, timeout, socket.SOCK_DGRAM)}


_NTP_PORT, _TIME = 123, b"\x23" + bytes(47)  # a client's question, version 4 (RFC 5905 section 7.3)
_ROOT_SERVERS = bytes.fromhex("0001 0100 0001 0000 0000 0000 00 0002 0001")  # of class IN (RFC 1035)


def _attempts(targets, timeout, kind):
    """All at once, as far as open files allow: what is dropped takes its time, and must not take it one by one."""
    outcomes = {}
    waiting = list(enumerate(targets))[::-1]
    begun = collections.deque()  # in the order in which their time is over
    at_once = _files(2 * _AT_ONCE) // 2
    awaited = selectors.EVENT_WRITE if kind == socket.SOCK_STREAM else selectors.EVENT_READ
    with selectors.DefaultSelector() as selector:
        while waiting or selector.get_map():
            while waiting and len(selector.get_map()) < at_once:
                number, (address, port) = waiting.pop()
                attempt = socket.socket(_family(address), kind | socket.SOCK_NONBLOCK)
                code = _begin(attempt, address, port)
                if code in (0, errno.EINPROGRESS):
                    selector.register(attempt, awaited, number)
                    begun.append((time.monotonic() + timeout, attempt))
                else:  # this host itself has no way there, or says no
                    outcomes[number] = _said(code)
                    attempt.close()
            for key, _ in selector.select(0.1):
                outcomes[key.data] = _said(key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
                selector.unregister(key.fileobj)
                key.fileobj.close()
            while begun and begun[0][0] < time.monotonic():
                attempt = begun.popleft()[1]
                if attempt.fileno() != -1:  # else it has ended, and is closed
                    outcomes[selector.unregister(attempt).data] = "filtered"
                    attempt.close()
    return [outcomes[number] for number in range(len(targets))]


_AT_ONCE = 1024


def _files(wanted):
    """How many files may be open here: ``wanted`` ones, as far as the host allows."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed < wanted:
        allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    return min(allowed, wanted)


def _family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _begin(attempt, address, port):
    """Start what is tried, and return the error number."""
    code = attempt.connect_ex((address, port))
    if code == 0 and attempt.type == socket.SOCK_DGRAM:
        try:
            attempt.send(_TIME if port == _NTP_PORT else _ROOT_SERVERS)
        except OSError as error:
            return errno.ETIMEDOUT if error.errno == errno.EPERM else error.errno  # dropped before it left
    return code


def addresses6(**_):
    """The IPv6 addresses of this host, ``[interface, address]`` each; of its own loopback none."""
    shown = json.loads(subprocess.run(["ip", "-6", "-json", "address"], capture_output=True, check=True).stdout)
    return {
        "addresses": [
            [link["ifname"], info["local"]]
            for link in shown
            if link.get("ifname", "lo") != "lo"
            for info in link["addr_info"]
        ]
    }


def _said(code):
    if code in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM):
        return "unreachable"
    return {0: "open", errno.ECONNREFUSED: "refused", errno.ETIMEDOUT: "filtered"}.get(code) or os.strerror(code)


def rules(declared, **_):
    """What differs between this host's rules in force and ``declared``, the text of its file.

    The file is loaded in a network of its own, where it holds for nobody, so that both are told by the same nft.
    """
    sets = re.findall(r"^  set (\S+) \{(?:(?!dynamic)[^}])*\}", declared, re.MULTILINE)
    listing = "; ".join(
        ["nft -s -t list table inet aansluitkit", *(f"nft -s list set inet aansluitkit {name}" for name in sets)]
    )
    load = ["unshare", "--net", "sh", "-e", "-c", f"nft -f -; {listing}"]
    wanted = subprocess.run(load, input=declared, capture_output=True, text=True, check=True).stdout
    found = subprocess.run(["sh", "-c", listing], capture_output=True, text=True, check=False)
    lines = list(difflib.ndiff(_in_chains(wanted), _in_chains(found.stdout + found.stderr)))
    return {
        "missing": [line[2:] for line in lines if line.startswith("- ")],
        "undeclared": [line[2:] for line in lines if line.startswith("+ ")] + _translations_elsewhere(),
    }


def _translations_elsewhere():
    """Chains of other tables that translate addresses: they open nothing, but lead what is declared elsewhere."""
    shown = subprocess.run(["nft", "--json", "list", "chains"], capture_output=True, text=True, check=True).stdout
    chains = [entry["chain"] for entry in json.loads(shown)["nftables"] if "chain" in entry]
    return [
        f"table {chain['family']} {chain['table']}, chain {chain['name']} of type nat"
        for chain in chains
        if chain.get("type") == "nat" and chain["table"] != "aansluitkit"
    ]


def _in_chains(listing):
    """The lines of nft's ``listing``, each after the name of its chain or set, so that a line tells where it stands."""
    place, lines = "", []
    for line in listing.splitlines():
        if begun := re.match(r"\t(?:chain|set) (\S+) \{", line):
            place = begun[1]
        told = line.strip().removeprefix("elements = { ").removesuffix(" }").removesuffix(",")
        lines.append(f"{place}: {told}" if line.startswith("\t\t") else told)
    return lines


def counters(**_):
    """New connections that each rule of the firewall here has let in, out or through: ``[chain, comment, packets]``."""
    shown = subprocess.run(
        ["nft", "--json", "list", "table", "inet", "aansluitkit"], capture_output=True, text=True, check=True
    ).stdout
    entries = json.loads(shown)["nftables"]
    counted = [
        [rule["chain"], rule["comment"], part["counter"]["packets"]]
        for rule in (entry["rule"] for entry in entries if "rule" in entry)
        for part in rule["expr"]
        if rule.get("comment") and isinstance(part.get("counter"), dict)
    ]
    counted += [
        [found["name"], element["elem"]["comment"], element["elem"]["counter"]["packets"]]
        for found in (entry["set"] for entry in entries if "set" in entry)
        for element in found.get("elem", [])
        if isinstance(element, dict) and {"comment", "counter"} <= element.get("elem", {}).keys()
    ]
    return {"counted": counted}


def peer_seen(address, port, seconds=2, **_):
    """Hold a connection to ``address`` for a moment, so that the other side can say whom it sees."""
    with socket.create_connection((address, port), timeout=5) as connection:
        connection.settimeout(seconds)
        try:
            connection.recv(1)
        except OSError:
            pass
    return {}


def peers(port, **_):
    """Addresses of those that are or were just connected to ``port`` here."""
    lines = subprocess.run(["ss", "-Hnta", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
    columns = [line.split() for line in lines.splitlines()]
    remote = [column[4].rsplit(":", 1)[0].strip("[]") for column in columns if column[0] != "LISTEN"]
    return {"peers": sorted({peer.removeprefix("::ffff:") for peer in remote})}


def tls(
    address,
    port,
    name,
    trust,
    certificate=None,
    key=None,
    crls=None,
    newest=None,
    ciphers=None,
    method="GET",
    path="/",
    body="",
    headers=None,
    timeout=10,
    **_,
):
    """Two-way TLS to ``address`` as ``name``, then one HTTP request; ``layer`` says how far it came.

    ``tcp``: no connection; ``tls_server``: we refuse the server's certificate; ``tls_client``: the server refuses
    ours, which TLS 1.3 tells only when we read; ``http``: an HTTP response came. With ``crls`` (PEM) we refuse a server
    whose chain is revoked there. ``newest`` (such as TLSv1_1) is the highest version that we offer, with all below it,
    and ``ciphers`` are the suites of those below 1.3, as OpenSSL calls them.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=trust)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if newest:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # they are old, and that is what is tried
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion[newest]
    if ciphers:
        context.set_ciphers(ciphers)
    if certificate:
        context.load_cert_chain(certificate, key)
    if crls:
        context.load_verify_locations(crls)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    try:
        raw = socket.create_connection((address, port), timeout=timeout)
    except OSError as error:
        return {"layer": "tcp", "error": str(error)}
    try:
        secure = context.wrap_socket(raw, server_hostname=name)
    except ssl.SSLCertVerificationError as error:
        return {"layer": "tls_server", "error": error.verify_message}
    except (ssl.SSLError, OSError) as error:
        layer = "tls_client" if "ALERT" in str(getattr(error, "reason", "")) else "tls_handshake"
        return {"layer": layer, "error": str(error)}
    answer = {"version": secure.version(), "cipher": secure.cipher()[0]}
    connection = http.client.HTTPConnection(name, port, timeout=timeout)
    connection.sock = secure
    try:
        connection.request(method, path, body.encode(), headers or {})
        response = connection.getresponse()
        return {
            **answer,
            "layer": "http",
            "status": response.status,
            "body": response.read(65536).decode(errors="replace"),
        }
    except (ssl.SSLError, OSError, http.client.HTTPException) as error:
        return {**answer, "layer": "tls_client", "error": str(error) or type(error).__name__}
    finally:
        secure.close()


def rest(user, password_file, method="GET", path="/", content_type="application/json", **request):
    """One request to an adapter's REST interface; the password is read here and travels no other way."""
    password = pathlib.Path(password_file).read_text().rstrip("\n")
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Accept": "*/*", "Content-Type": content_type}
    return tls(method=method, path=path, headers=headers, **request)


def rests(requests, **common):
    """Several such ``requests``, one after the other."""
    return {"answers": [rest(**common, **request) for request in requests]}


def store(files, **_):
    """Write ``files`` (path: content) for this user alone."""
    for name, content in files.items():
        path = pathlib.Path(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(content)
    return {}


def discard(folder, **_):
    """Remove ``folder``."""
    shutil.rmtree(folder, ignore_errors=True)
    return {}


def state(adapter=None, balancer=None, database=False, **_):
    """How this host is: units that failed, disks, clock, the last deployment, and what runs here (``host:port``)."""
    listed = subprocess.run(
        ["systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    disks = {}
    for place in ("/", "/var", "/var/lib"):
        found = os.statvfs(place)
        disks.setdefault(pathlib.Path(place).stat().st_dev, (place, 1 - found.f_bavail / max(found.f_blocks, 1)))
    log = pathlib.Path("/var/log/aansluitkit-deployments.jsonl")
    deployments = log.read_text().splitlines() if log.exists() else []
    answer = {
        "failed": [line.split()[0] for line in listed.splitlines() if line.split()],
        "disks": dict(disks.values()),
        "deployment": deployments[-1] if deployments else "",
        "time": time.time(),
    }
    if adapter:
        answer["adapter"] = {"health": plain(adapter, "/health/ready"), "metrics": plain(adapter, "/metrics")}
    if balancer:
        answer["balancer"] = plain(balancer, "/metrics")
    if database:
        said = subprocess.run(
            ["/usr/local/sbin/aansluitkit-database-state"], capture_output=True, text=True, check=False
        )
        answer["database"] = said.stdout.strip() or said.stderr.strip()
    return answer


def plain(place, path, method="GET", body="", headers=None, timeout=5, **_):
    """One request over plain HTTP to ``place``, address and port; status 0 where no answer comes."""
    connection = http.client.HTTPConnection(place, timeout=timeout)
    try:
        connection.request(method, path, body.encode(), headers or {})
        response = connection.getresponse()
        return {"status": response.status, "body": response.read(4 * 1024 * 1024).decode(errors="replace")}
    except (OSError, http.client.HTTPException) as error:
        return {"status": 0, "body": "", "error": str(error) or type(error).__name__}
    finally:
        connection.close()


def main():
    """Answer the request of the command line."""
    request = json.loads(zlib.decompress(base64.b64decode(sys.argv[-1])))
    act = globals()[request.pop("do")]  # any of the functions above
    print(json.dumps(act(**request)))


if __name__ == "__main__":
    main()
