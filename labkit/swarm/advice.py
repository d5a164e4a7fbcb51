"""The next step for the error messages that learners most often get from Docker."""

import re

from labkit.swarm import stack_files

_SUBNETS = "docker network inspect -f '{{.Name}} {{json .IPAM.Config}}' $(docker network ls -q)"

_ADVICE = (
    *stack_files.ADVICE,
    (
        r"client version \S+ is too old",
        "unset DOCKER_API_VERSION if it is set; otherwise upgrade this client, or the library in use",
    ),
    (
        r"client version \S+ is too new|requires API version",
        "unset DOCKER_API_VERSION, so that both sides agree on a version; otherwise upgrade the engine",
    ),
    (
        r"non-overlapping IPv4 address pool|predefined address pools have been fully subnetted",
        "docker network prune removes unused networks; or name a free subnet with --subnet",
    ),
    (r"[Pp]ool overlaps with other one", f"choose another --subnet; {_SUBNETS} lists those in use"),
    (
        r"pull access denied|no basic auth credentials|unauthorized: authentication required",
        "check the image's name; if the registry asks for a password, docker login first, and give services "
        "--with-registry-auth",
    ),
    (
        r"Subnet size is too small for pool",
        "--default-addr-pool-mask-length must be longer than the pool's own, such as 24 in a /16",
    ),
    (r"manifest unknown", "the registry has no such image or tag: check its name"),
    (
        r"not a swarm manager.*Worker nodes can't",
        "run it on a manager: only managers can answer questions about the swarm",
    ),
    (r"not a swarm manager", "docker swarm init here, or docker swarm join --token TOKEN manager1:2377"),
    (r"already part of a swarm", "docker swarm leave on this node first (a manager needs --force)"),
    (r"could not choose an IP address to advertise", "name one: docker swarm init --advertise-addr eth0"),
    (
        r"invalid join token|A valid join token is necessary",
        "docker swarm join-token worker on a manager prints the current one",
    ),
    (
        r"node \S+ is not down and can't be removed",
        "docker swarm leave on that node first, or node rm --force",
    ),
    (r"is a cluster manager and is a member", "docker node demote it first, then docker node rm"),
    (
        r"attempting to leave the swarm on a node.*manager",
        "docker node demote it first, or leave with --force",
    ),
    (
        r"name conflicts with an existing object|with name \S+ already exists",
        "choose another name, or remove the object with this one",
    ),
    (
        r"network \S+ is in use by task|failed to create service \S+: .*network \S+ not found",
        "tasks from before are still shutting down: run the command again",
    ),
    (
        r"(?:node|service|network|secret|config|stack) \S+ not found",
        "list what exists: use the same command with ls",
    ),
    (
        r"[Nn]o such (?:image|container|network|volume|node|service)",
        "list what exists: use the same command with ls",
    ),
    (
        r"Swarm is encrypted and needs to be unlocked",
        "docker swarm unlock, with the unlock key that you saved",
    ),
    (r"does not have a leader|quorum", "start managers again until more than half of them run"),
    (
        r"[Nn]o space left on device",
        "docker system df shows what uses the space; labkit down, then up, frees all that the lab used",
    ),
    (
        r"port is already allocated|is already in use by service",
        "publish another port, or remove what uses this one",
    ),
    (
        r"unknown (?:flag|shorthand flag|command)|is not a docker command|requires (?:exactly|at least)",
        "the same command with --help",
    ),
    (
        r"not manually attachable",
        "docker network create -d overlay --attachable NAME lets plain containers in",
    ),
    (
        r"network \S+ is in use by",
        "first make sure that nothing uses it: docker service rm, or docker service update --network-rm",
    ),
    (
        r"(?:secret|config) \S+ is in use by the following service",
        "give the service another one first: docker service update --help",
    ),
    (r"update out of sequence", "the swarm changed it at the same moment: run the command again"),
    (
        r"only updates to Labels are allowed",
        "make a new one under another name, and let the service use that",
    ),
    (r"plugin \S+ is enabled", "docker plugin disable it first"),
    (
        r"permission denied while installing plugin",
        "if you trust the publisher, accept the privileges with --grant-all-permissions",
    ),
    (
        r"(?:update|rollback) paused",
        "docker service ps --no-trunc says why; docker service rollback undoes the update",
    ),
    (r"command not found", "check the spelling; nodes have docker, ip, ss, curl, openssl and ps"),
)
OTHERWISE = "read the message above; the same command with --help shows how to use it"


def for_output(text: str) -> str:
    """Return the advice for the first pattern that `text`, a command's error output, contains."""
    flat = " ".join(text.split())
    return next((advice for pattern, advice in _ADVICE if re.search(pattern, flat)), OTHERWISE)
