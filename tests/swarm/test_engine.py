"""Finding and probing the engine that is really there."""

import io
from collections.abc import Callable, Iterator

import docker
import pytest
from docker.models.containers import Container

from labkit.engine import doctor
from labkit.engine.doctor import LABEL
from labkit.engine.selection import EngineContext
from labkit.images import builder
from labkit.util import command_hint

pytestmark = pytest.mark.engine


@pytest.fixture
def context() -> EngineContext:
    return EngineContext(command_hint.DEFAULT_LAB)


@pytest.fixture
def client(context: EngineContext) -> Iterator[docker.DockerClient]:
    client = context.client(timeout=30)
    yield client
    client.close()


@pytest.fixture
def image(client: docker.DockerClient) -> str:
    """Any image with a shell will do: where tools are missing, the probes say so by name."""
    for image in client.images.list():
        if image.id and _has_a_shell(client, image.id):
            return image.id
    pytest.skip("the engine has no image with a shell")


def _has_a_shell(client: docker.DockerClient, image: str) -> bool:
    container = client.containers.create(
        image, entrypoint=["sh", "-c"], command=["exit 0"], network_mode="none"
    )
    try:
        container.start()
    except docker.errors.APIError:
        return False
    finally:
        container.remove(v=True, force=True)
    return True


def leftovers(client: docker.DockerClient) -> list[str | None]:
    return [each.id for each in client.containers.list(all=True, filters={"label": LABEL})]


def test_client_talks_to_the_found_engine(context: EngineContext, client: docker.DockerClient) -> None:
    assert client.ping()
    assert client.version()["ApiVersion"] == context.endpoint().api_version


def test_examine_probes_the_kernel_and_leaves_nothing(
    context: EngineContext, client: docker.DockerClient, image: str
) -> None:
    probes = {probe.key: probe for probe in doctor.examine(context, image)}
    assert probes["engine"].ok
    assert probes["disk"].found.endswith("GB free")
    assert probes["inotify"].found.endswith("instances per user")
    assert all("ended early" not in probe.found for probe in probes.values())
    assert leftovers(client) == []


def test_probe_removes_its_own_volume(
    context: EngineContext, client: docker.DockerClient, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted: list[str] = []
    remove = Container.remove

    def note_and_remove(self: Container, **options: bool) -> None:
        self.reload()
        mounted.extend(mount["Name"] for mount in self.attrs["Mounts"])
        remove(self, **options)

    monkeypatch.setattr(Container, "remove", note_and_remove)
    doctor.examine(context, image)
    assert mounted
    assert not set(mounted) & {volume.id for volume in client.volumes.list()}


def test_probe_that_fails_leaves_nothing(
    context: EngineContext, client: docker.DockerClient, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("docker.models.containers.Container.wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        doctor.examine(context, image)
    assert leftovers(client) == []


def test_examine_without_the_image_says_so(context: EngineContext, client: docker.DockerClient) -> None:
    probes = {probe.key: probe for probe in doctor.examine(context, "labkit.invalid/no-such-image")}
    assert probes["ip_vs"].ok is None
    assert "has no image labkit.invalid/no-such-image" in probes["ip_vs"].found
    assert leftovers(client) == []


@pytest.fixture
def lacking(client: docker.DockerClient) -> Iterator[Callable[[str, str], str]]:
    """Makes node images in which a program refuses what names a word, as it does where a kernel lacks that.

    The rest works, also what this computer's own kernel lacks: `ip xfrm` and `genl` succeed.
    """
    made: list[str] = []

    def make(program: str, word: str) -> str:
        path = "/usr/local/sbin"
        refuses = (
            f'case "$*" in *{word}*) echo "no {word} here" >&2; exit 2;; esac; exec /usr/sbin/{program} "$@"'
        )
        lines = [
            f"FROM {builder.content_tag('node')}",
            f"RUN cd {path} && for p in ip genl; do printf '%s\\n' '#!/bin/sh' "
            f"'case \"$*\" in xfrm*|ctrl*) exit 0;; esac; exec /usr/bin/'$p' \"$@\"' >$p; chmod +x $p; done",
            f"RUN cd {path} && printf '%s\\n' '#!/bin/sh' '{refuses}' >{program} && chmod +x {program}",
        ]
        image, _ = client.images.build(fileobj=io.BytesIO("\n".join(lines).encode()), rm=True, forcerm=True)
        made.append(str(image.id))
        return made[-1]

    yield make
    for each in made:
        client.images.remove(each, force=True)


@pytest.mark.parametrize(("word", "ok"), [("bpf", False), ("policy", False), ("u32", True)])
def test_encrypted_overlays_take_the_packet_match_too(
    context: EngineContext, lacking: Callable[[str, str], str], word: str, ok: bool
) -> None:
    """As in WSL, whose kernel had ESP without xt_bpf (WSL #9946); Docker no longer asks for u32."""
    probe = doctor.examine_kernel(context, lacking("iptables", word))["esp"]
    assert probe.ok is ok, probe
    assert ok or probe.found == f"no {word} here"


def test_the_mesh_takes_the_rule_for_answers_too(
    context: EngineContext, lacking: Callable[[str, str], str]
) -> None:
    probe = doctor.examine_kernel(context, lacking("iptables", "ipvs"))["ip_vs"]
    assert not probe.ok
    assert probe.found in ("no ipvs here", "cat: /proc/sys/net/ipv4/vs/conntrack: No such file or directory")


def test_the_node_image_has_what_the_probes_need(context: EngineContext) -> None:
    probes = doctor.examine_kernel(context, builder.content_tag("node"))
    assert [probe.key for probe in probes.values() if probe.found.startswith("not probed")] == []
    assert all(probes[key].ok for key in ("overlay", "vxlan", "bridge_nf", "fuse"))
