"""The outer Docker engine: found, provided where none is, and probed for what its kernel can do."""

from labkit.engine.choice import (
    DOCKER,
    ERRORS,
    VM,
    VM_DIRECT,
    client,
    explained,
    find,
    forget,
    kind,
    of_lab,
    own_client,
    thread_client,
    trouble,
)
from labkit.engine.daemon import stop
from labkit.engine.install import ensure
from labkit.engine.offer import offer
from labkit.engine.places import Endpoint
from labkit.engine.power import (
    can_resume,
    has_machine,
    machine_report,
    needs_docker,
    power_off,
    power_on,
    require_images,
)
from labkit.engine.probes import (
    Probe,
    as_json,
    essentials_missing,
    examine,
    examine_kernel,
    no_engine,
    require_room,
    table,
)
from labkit.engine.vm import process as processes

__all__ = [
    "DOCKER",
    "ERRORS",
    "VM",
    "VM_DIRECT",
    "Endpoint",
    "Probe",
    "as_json",
    "can_resume",
    "client",
    "ensure",
    "essentials_missing",
    "examine",
    "examine_kernel",
    "explained",
    "find",
    "forget",
    "has_machine",
    "kind",
    "machine_report",
    "needs_docker",
    "no_engine",
    "of_lab",
    "offer",
    "own_client",
    "power_off",
    "power_on",
    "processes",
    "require_images",
    "require_room",
    "stop",
    "table",
    "thread_client",
    "trouble",
]
