"""Engines for the nodes: another version of Docker, and one that behaves as Docker 29 does by default."""

from dataclasses import dataclass
from pathlib import Path

from labkit.images.engines import ALLOW_EXPIRED
from labkit.topology import topology

_LIKE_29 = (
    ("    - --dns=", "    - --feature=containerd-snapshotter=true\n    - --dns="),
    ("  environment: *no-proxies\n", '  environment: {<<: *no-proxies, DOCKER_MIN_API_VERSION: "1.44"}\n'),
)


@dataclass(frozen=True)
class Inner:
    """A node's engine: its name, and whether it has containerd's image store and a minimum API of 1.44."""

    name: str
    like_29: bool = False

    @property
    def version(self) -> str:
        """The version as `labkit up --docker` takes it."""
        return self.name.partition("-")[0]

    def environment(self, folder: Path) -> dict[str, str]:
        """The variables with which labs get such nodes; a topology file of their own goes to `folder`."""
        # The mirror may be a copy whose Release file has expired, which is fine for tests alone.
        variables = {"LABKIT_DOCKER": self.version, ALLOW_EXPIRED: "1"}
        if not self.like_29:
            return variables
        text = topology.default_path().read_text()
        for old, new in _LIKE_29:
            assert old in text, old
            text = text.replace(old, new, 1)
        file = folder / "like-29.yml"
        file.write_text(text)
        return {**variables, "LABKIT_TOPOLOGY": str(file)}


INNERS = {
    inner.name: inner
    for inner in (Inner("20.10"), Inner("26.1"), Inner("28.5"), Inner("28.5-like-29", like_29=True))
}
