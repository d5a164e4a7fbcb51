"""JupyterHub's configuration, from the workshop's settings."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from traitlets.config import Config

from labkit.workshop.hub import settings
from labkit.workshop.hub.settings import HubSettings

TEMPLATES = Path(__file__).parent / "templates"
_START_SECONDS = 900  # 30 places on two cores, each when it's its turn
_CULL_EVERY_SECONDS = 300


def configuration(house: HubSettings, secrets: Mapping[str, str]) -> Config:
    """Everything that the hub has to know. `secrets` has the tokens that the host has made."""
    return Config(
        JupyterHub=_hub(house, secrets),
        ConfigurableHTTPProxy={
            "should_start": False,  # it runs in a container of its own, without the engine's socket
            "api_url": "http://127.0.0.1:8001",
            "auth_token": secrets["CONFIGPROXY_AUTH_TOKEN"],
        },
        Authenticator={
            "allow_all": True,  # whoever has a code
            "username_pattern": r"^[a-z0-9][a-z0-9-]*$",
            "admin_users": set(house.instructors) if house.open else set(),
        },
        CodeAuthenticator={"codes_file": str(settings.FOLDER / settings.CODES)},
        OpenAuthenticator={
            "user_password": secrets.get(settings.OPEN_CODE) or None,
            "admin_password": secrets.get(settings.INSTRUCTOR_CODE) or None,
            "seats": house.seats,
        },
        Spawner=_spawner(house),
        DockerSpawner={
            "image": house.image,
            "pull_policy": "never",
            "use_internal_ip": True,
            "remove": True,
            "name_template": f"{house.workshop}-place-{{raw_username}}",
            "mem_limit": house.memory,
            "cpu_limit": house.cpus,
        },
        PlaceSpawner={
            "workshop": house.workshop,
            "at_once": house.at_once,
            "pools": house.pools,
            "avoid": house.avoid,
            "internet": house.internet,
            "processes": house.processes,
            "runtime": house.runtime,
        },
    )


def _hub(house: HubSettings, secrets: Mapping[str, str]) -> dict[str, Any]:
    kind = "OpenAuthenticator" if house.open else "CodeAuthenticator"
    return {
        "spawner_class": "labkit.workshop.hub.spawner.PlaceSpawner",
        "authenticator_class": f"labkit.workshop.hub.authenticator.{kind}",
        "hub_ip": "0.0.0.0",  # places reach it by their own networks; only the proxy's port is published
        "hub_port": settings.HUB_PORT,
        "hub_connect_ip": "127.0.0.1",
        "public_url": house.public_url,
        "db_url": f"sqlite:///{settings.FOLDER / settings.DATABASE}",
        "cookie_secret_file": str(settings.FOLDER / "cookie_secret"),
        "template_paths": [str(TEMPLATES)],
        "cleanup_servers": False,  # places outlive the hub
        "cleanup_proxy": False,
        "concurrent_spawn_limit": 0,  # it would refuse; PlaceSpawner lets the others wait
        "active_server_limit": house.seats + len(house.instructors),
        "last_activity_interval": 60,
        "allow_named_servers": False,
        "load_groups": {settings.INSTRUCTORS: {"users": house.instructors}},
        "load_roles": _roles(),
        "services": [
            {
                "name": "class",
                "url": f"http://127.0.0.1:{settings.CLASS_PORT}",
                "api_token": secrets[settings.CLASS_TOKEN],
                "oauth_client_id": "service-class",
                "oauth_no_confirm": True,
            },
            {"name": "house", "api_token": secrets[settings.HOUSE_TOKEN]},
            {"name": "culler", "command": _culler(house)},
        ],
    }


def _roles() -> list[dict[str, Any]]:
    return [
        {
            # Not JupyterHub's role `admin`: it would let them into learners' places unseen.
            "name": "instructor",
            "description": "Sees the class page; starts and stops places",
            "scopes": [
                "access:services!service=class",
                "admin-ui",
                "list:users",
                "read:users:name",
                "servers",
            ],
            "groups": [settings.INSTRUCTORS],
        },
        {
            "name": "house",
            "description": "Adds learners and starts places, for `labkit workshop`",
            "scopes": ["admin:users", "servers"],
            "services": ["house"],
        },
        {
            "name": "class",
            "description": "Knows who there is",
            "scopes": ["list:users", "read:users:name", "read:users:groups"],
            "services": ["class"],
        },
        {
            "name": "culler",
            "description": "Stops places that nobody uses",
            "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
            "services": ["culler"],
        },
    ]


def _culler(house: HubSettings) -> list[str]:
    # A live board never looks idle, so there is also an age at which a place ends.
    seconds = int(house.idle_hours * 3600)
    return [
        *(sys.executable, "-m", "jupyterhub_idle_culler"),
        *(f"--timeout={seconds}", f"--max-age={3 * seconds}", f"--cull-every={_CULL_EVERY_SECONDS}"),
    ]


def _spawner(house: HubSettings) -> dict[str, Any]:
    return {
        "cmd": ["place", "jupyterhub-singleuser"],
        "default_url": "/lab",
        "notebook_dir": "",
        "hub_connect_url": f"http://hub:{settings.HUB_PORT}",
        "start_timeout": _START_SECONDS,
        "http_timeout": 120,
        "poll_interval": 15,
        "consecutive_failure_limit": 0,  # a hub that ends helps nobody
        "environment": {
            "HOME": "/home/learner",
            "LABKIT_CLASS_URL": f"http://class:{settings.CLASS_PORT}{settings.CLASS_PREFIX}",
            "LABKIT_WORKSHOP": house.workshop,
        },
    }
