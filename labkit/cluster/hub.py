"""How a lab's registry reaches Docker Hub: a proxy, and a certificate authority if the network inspects TLS.

`docker-compose.dind.yml` passes both to the registry, as HUB_PROXY and HUB_CA, if the user's variables name
them. `docker compose up` relies on that alone, while `labkit up` also fills in what it finds by itself.
"""

import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker

from labkit.images import proxies
from labkit.topology.topology import Service
from labkit.util.errors import LabError

_HUB, _PROXY, _CA = "HUB", "HUB_PROXY", "HUB_CA"
_CA_FILE = "LABKIT_CA_FILE"
_LONGEST = 100_000  # bytes: Linux allows 131,072 in one variable (MAX_ARG_STRLEN), its name included
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.S)


def environment(client: docker.DockerClient, service: Service) -> dict[str, str]:
    """A service's environment, with the proxy and the authority filled in if it has variables for them.

    Raises LabError if LABKIT_CA_FILE doesn't name certificates.
    """
    found = dict(service.environment)
    if found.get(_PROXY) == "":
        found[_PROXY] = proxies.of(client).towards(found.get(_HUB, ""))
    if found.get(_CA) == "" and (file := os.environ.get(_CA_FILE)):
        found[_CA] = certificates(Path(file))
    return found


def is_outdated(container: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    """Whether a service's container reaches the Hub in another way than the user wants now.

    `container` is the engine's answer to `inspect`. A variable that isn't set now doesn't count, because the
    lab may have been started from a terminal that had it.
    """
    has = dict(each.partition("=")[::2] for each in container["Config"]["Env"] or ())
    named = [_PROXY, _CA, *([_HUB] if os.environ.get("LABKIT_HUB") else [])]
    return any(wanted.get(name) and has.get(name) != wanted[name] for name in named)


def answer(client: docker.DockerClient, registry: str) -> str:
    """What a lab's registry last found out about Docker Hub; empty if it hasn't yet. Takes its container.

    Raises docker's APIError if the container isn't running.
    """
    code, output = client.containers.get(registry).exec_run(["cat", "/run/asked"])
    return output.decode(errors="replace").strip() if code == 0 and isinstance(output, bytes) else ""


def certificates(file: Path) -> str:
    """The certificates in a PEM file, and nothing else from it. Raises LabError if there are none."""
    try:
        text = "\n".join(_CERTIFICATE.findall(file.read_bytes().decode("ascii", "replace")))
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text or "nothing")
    except (OSError, ssl.SSLError) as error:
        raise LabError(
            f"{_CA_FILE} names no certificates that labkit can read",
            evidence=[f"{file}: {error}"],
            next_step=(
                f"set {_CA_FILE} to a file in PEM format, which begins with -----BEGIN CERTIFICATE-----   "
                "(from DER: openssl x509 -inform der -in FILE -out FILE.pem)"
            ),
        ) from None
    if len(text) > _LONGEST:
        raise LabError(
            f"{_CA_FILE} names too many certificates",
            evidence=[f"those in {file} take {len(text)} bytes; at most {_LONGEST} fit"],
            next_step=f"set {_CA_FILE} to a file with only the authorities of your own network",
        )
    return text
