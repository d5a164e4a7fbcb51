"""The workshop's certificate: the user's own, or one that is made here and signed by itself."""

import hashlib
import ipaddress
import re
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import docker
from docker.errors import DockerException

from labkit.util.errors import LabError, SetupFailed

DAYS = 90
_RENEW = timedelta(days=7)
_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----\n?", re.S)


class Certificate(NamedTuple):
    """A certificate, with those of the authorities that signed it, and its key, both in PEM."""

    certificate: str
    key: str


def make(client: docker.DockerClient, image: str, host: str) -> Certificate:
    """Make a certificate for a host's name or address, with openssl in a container of `image`.

    Raises SetupFailed.
    """
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", str(DAYS)]
    about = ["-subj", "/CN=Swarm Lab workshop", "-addext", f"subjectAltName={_kind(host)}:{host}"]
    use = ["-addext", "extendedKeyUsage=serverAuth", "-addext", "basicConstraints=critical,CA:FALSE"]
    command = [
        "openssl",
        "req",
        "-x509",
        *kind,
        *about,
        *use,
        "-keyout",
        "/dev/stdout",
        "-out",
        "/dev/stdout",
    ]
    try:
        said = client.containers.run(image, command, remove=True, network_mode="none", stderr=False)
    except DockerException as error:
        raise SetupFailed(
            "no certificate could be made",
            evidence=[str(error)],
            next_step="run the command again, or give one with --cert and --key",
        ) from None
    blocks = {found[1]: found[0] for found in _PEM.finditer(said.decode())}
    return Certificate(blocks["CERTIFICATE"], blocks["PRIVATE KEY"])


def read(certificate: Path, key: Path) -> Certificate:
    """The user's own. Raises LabError if the files can't be read, or don't belong together."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
        return Certificate(certificate.read_text(), key.read_text())
    except (OSError, ssl.SSLError, ValueError) as error:
        raise LabError(
            f"{certificate} and {key} can't be used as a certificate and its key",
            evidence=[str(error)],
            next_step="give both in PEM, the certificate with its chain, and the key without a password",
        ) from None


def fingerprint(certificate: str) -> str:
    """The SHA-256 of a certificate, as browsers show it."""
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(_first(certificate))).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


def must_renew(made_for: str, ends: str, host: str) -> bool:
    """Whether a certificate that was made here for `made_for` is for another host, or ends soon.

    `ends` is in ISO 8601; empty if there is none.
    """
    return not ends or made_for != host or datetime.fromisoformat(ends) - datetime.now(UTC) < _RENEW


def end() -> str:
    """When a certificate ends that is made now, in ISO 8601."""
    return (datetime.now(UTC) + timedelta(days=DAYS)).isoformat(timespec="seconds")


def this_host() -> str:
    """This computer's address in the room's network, otherwise its name.

    Looks up which interface leads to the default route, without sending anything.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation (RFC 5737)
            return str(probe.getsockname()[0])
        except OSError:  # no default route
            return socket.gethostname()


def _first(certificate: str) -> str:
    found = next((each[0] for each in _PEM.finditer(certificate) if each[1] == "CERTIFICATE"), "")
    return found if found.endswith("\n") else f"{found}\n"


def _kind(host: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "DNS"
    return "IP"


def _no_password() -> str:
    raise ValueError("the key has a password")
