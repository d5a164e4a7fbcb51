"""docker-py's client, without what it does about proxies.

`requests` sends calls to an engine on tcp:// through HTTP_PROXY, where nobody knows the engine. And docker-py
puts `proxies` of the Docker client's configuration into every container that it creates (`use_config_proxy`
in 7.1), so that nodes and services no longer reach each other.
"""

from typing import Any

import docker

from labkit.engine import ssh
from labkit.transport.dialed import mount


class EngineAPI(docker.APIClient):
    """Calls an engine directly, and keeps proxies out of containers. Takes what `docker.APIClient` takes.

    Give it a version; otherwise it asks the engine before it's set up.
    """

    def __init__(self, *, base_url: str, **options: Any) -> None:
        over_ssh = base_url.startswith(ssh.SCHEME)
        super().__init__(base_url=ssh.BASE_URL if over_ssh else base_url, **options)
        if over_ssh:
            mount(self, ssh.BASE_URL, ssh.SshAdapter(base_url))
        self.trust_env = False  # nor is REQUESTS_CA_BUNDLE about engines, or ~/.netrc

    def create_container(self, *arguments: Any, **options: Any) -> Any:
        return super().create_container(*arguments, **{"use_config_proxy": False, **options})


class EngineClient(docker.DockerClient):
    """The same with docker-py's collections, such as `containers`."""

    def __init__(self, **options: Any) -> None:
        self.api = EngineAPI(**options)
