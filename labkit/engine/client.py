"""docker-py's client without its handling of proxies.

`requests` sends calls to an engine on tcp:// through HTTP_PROXY, but the proxy may not reach the engine. And
docker-py adds the `proxies` of the Docker client's configuration to every container that it creates
(`use_config_proxy` in 7.1), so nodes and services could no longer reach each other.
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
        self.trust_env = False  # REQUESTS_CA_BUNDLE and ~/.netrc aren't about engines either

    def create_container(self, *arguments: Any, **options: Any) -> Any:
        return super().create_container(*arguments, **{"use_config_proxy": False, **options})


class EngineClient(docker.DockerClient):
    """The same with docker-py's collections, such as `containers`."""

    def __init__(self, **options: Any) -> None:
        self.api = EngineAPI(**options)
