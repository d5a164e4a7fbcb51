"""The outer Docker engine: found, provided where none is, and probed for what its kernel can do."""

from docker.errors import DockerException
from requests import RequestException

from labkit.engine.daemon import stop
from labkit.engine.find import client, find, forget, thread_client
from labkit.engine.install import ensure
from labkit.engine.places import Endpoint
from labkit.engine.probes import Probe, as_json, essentials_missing, examine, no_engine, require_room, table

ERRORS = (DockerException, RequestException, OSError)
"""What an engine that refuses, or stops answering, raises through docker-py."""

__all__ = [
    "ERRORS",
    "Endpoint",
    "Probe",
    "as_json",
    "client",
    "ensure",
    "essentials_missing",
    "examine",
    "find",
    "forget",
    "no_engine",
    "require_room",
    "stop",
    "table",
    "thread_client",
]
