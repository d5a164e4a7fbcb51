"""A workshop of two learners, from `up` to `down`, on the real engine: through its proxy, as browsers do."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import docker
import pytest

from labkit.cli import workshop_class
from labkit.engine.selection import DOCKER, EngineContext
from labkit.util.console import ProgressReporter
from labkit.util.deadline import Deadline
from labkit.util.errors import EngineUnsuitable, LabError
from labkit.workshop import labels, provision, removal, roster, settings
from labkit.workshop.settings import Workshop
from tests.workshop import Browser

pytestmark = [pytest.mark.engine, pytest.mark.alone]

NAME = "labkit-test-workshop"
QUIET = ProgressReporter(quiet=True)


@dataclass
class Class:
    """The workshop under test, everybody's code, and clients."""

    workshop: Workshop
    codes: dict[str, str]
    context: EngineContext
    client: docker.DockerClient

    def browser(self, login: str = "") -> Browser:
        """A new browser; logged in if there is a login."""
        made = Browser(self.workshop.url)
        if login:
            assert made.login(login, self.codes[login]).status_code == 302
        return made

    def place(self, login: str) -> docker.models.containers.Container:
        [entry] = self.client.api.containers(filters=labels.filters(NAME, labels.PLACE, login))
        return self.client.containers.get(entry["Id"])

    def part(self, name: str) -> docker.models.containers.Container:
        entry = labels.container(self.client.api, NAME, name)
        assert entry
        return self.client.containers.get(entry["Id"])

    def address(self, login: str) -> str:
        [network] = self.place(login).attrs["NetworkSettings"]["Networks"].values()
        return str(network["IPAddress"])

    def inside(self, login: str, *command: str) -> tuple[int, str]:
        """Run a command in a place, as its learner can; return its code and output."""
        code, output = self.place(login).exec_run(["timeout", "20", *command])
        return int(code), output.decode(errors="replace")

    def up(self) -> None:
        done = provision.up(self.context, self.workshop, QUIET)
        assert not done.failed
        self.workshop = done.workshop


def left(client: docker.DockerClient, name: str = NAME) -> list[str]:
    """The names of what there is of a workshop."""
    api = client.api
    found = [labels.name_of(entry) for entry in labels.containers(api, name)]
    return found + [entry["Name"] for entry in [*labels.volumes(api, name), *labels.networks(api, name)]]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Class]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        context = EngineContext(NAME, DOCKER)
        removal.down(context, NAME)  # what a killed run has left
        people = [roster.person("Anna Müller"), roster.person("Bo")]
        people.append(roster.person("Ida", roster.INSTRUCTOR))
        wanted = Workshop(NAME, host="127.0.0.1", port=18499, people=people, seats=2, prestart=False)
        try:
            done = provision.up(context, wanted, QUIET)
            client = context.own_client(timeout=120)
            assert provision.prestart(client, done.workshop, ["anna-muller", "bo"], QUIET) == []
            yield Class(done.workshop, done.fresh, context, client)
        finally:
            removal.down(context, NAME)
        assert left(context.own_client()) == []


def test_learners_log_in_with_their_own_code_alone(room: Class) -> None:
    codes = room.codes
    assert room.browser().login("anna-muller", codes["anna-muller"]).status_code == 302
    typed = codes["anna-muller"].replace("-", " ").upper()
    assert room.browser().login("Anna Müller", typed).status_code == 302
    for name, code in (("anna-muller", codes["bo"]), ("bo", "wrong"), ("nobody", codes["bo"]), ("bo", "")):
        refused = room.browser().login(name, code)
        assert refused.status_code == 403
        assert "match. Check the card" in refused.text
    stored = settings.path(NAME).read_text()
    assert not any(code in stored for code in codes.values())
    assert settings.path(NAME).stat().st_mode & 0o077 == 0
    assert settings.cards_path(NAME).stat().st_mode & 0o077 == 0


def test_a_place_has_jupyterlab_and_a_swarm(room: Class) -> None:
    anna = room.browser("anna-muller")
    anna.open_place()
    assert "01-create-a-swarm.ipynb" in {
        each["name"] for each in anna.api("GET", "contents").json()["content"]
    }
    assert provision.wait_for_lab(room.client, NAME, "anna-muller")
    code, nodes = room.inside("anna-muller", "labkit", "exec", "manager1", "--", "docker", "node", "ls")
    assert code == 0
    assert nodes.count(" Ready ") == 3
    config = room.place("anna-muller").attrs["HostConfig"]
    assert not config["Privileged"]
    assert {"SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"} == {
        each.removeprefix("CAP_") for each in config["CapAdd"]
    }
    assert config["Memory"] == room.workshop.memory
    assert config["PidsLimit"] == room.workshop.processes


def test_a_second_laptop_finds_the_same_place(room: Class) -> None:
    first, second = room.browser("anna-muller"), room.browser("anna-muller")
    first.open_place()
    before = room.place("anna-muller").id
    first.write("from-the-first.txt", "hello")
    second.open_place()
    assert second.read("from-the-first.txt") == "hello"
    assert room.place("anna-muller").id == before


def test_a_learner_cannot_reach_another_place(room: Class) -> None:
    anna, bo = room.browser("anna-muller"), room.address("bo")
    assert room.inside("bo", "curl", "-sf", "-m2", "-o/dev/null", f"http://{bo}:8888/user/bo/api")[0] == 0
    for port in (8888, 22, 2375, 2377):
        code, _ = room.inside("anna-muller", "curl", "-s", "-m2", f"http://{bo}:{port}/")
        assert code in (7, 28), port  # refused, or no answer
    assert room.part(labels.FRONT).exec_run(["cat", "/proc/sys/net/ipv4/ip_forward"])[1].strip() == b"0"
    # Her place may set routes: neither the workshop's front nor the host passes on what she sends to his.
    _, hosts = room.inside("anna-muller", "getent", "hosts", "hub")
    front = hosts.split()[0]
    for router in (front, front.rpartition(".")[0] + "." + str(int(front.rpartition(".")[2]) - 1)):
        room.inside("anna-muller", "ip", "route", "replace", bo, "via", router)
        try:
            assert room.inside("anna-muller", "curl", "-s", "-m2", f"http://{bo}:8888/")[0] in (7, 28)
        finally:
            room.inside("anna-muller", "ip", "route", "del", bo)
    assert room.inside("anna-muller", "getent", "hosts", f"{NAME}-place-bo")[0] != 0
    anna.open_place()
    assert anna.get("/user/bo/lab").status_code in (403, 404)
    assert anna.get("/user/bo/api/contents").status_code in (403, 404)


def test_a_learner_has_no_more_of_the_hub_than_their_own_part(room: Class) -> None:
    hub, script = "http://hub:8081/hub/api", 'curl -s -m10 -o/dev/null -w "%{http_code}" -X "$1" '
    script += '-H "Authorization: token $JUPYTERHUB_API_TOKEN" "$2"'

    def ask(method: str, url: str) -> str:
        code, output = room.inside("anna-muller", "sh", "-c", _with_token(room, script), "sh", method, url)
        return output if code == 0 else f"curl: {code}"

    assert ask("GET", f"{hub}/user") == "200"
    for method, url in (
        ("GET", f"{hub}/users"),
        ("GET", f"{hub}/users/bo"),
        ("POST", f"{hub}/users/eve"),
        ("POST", f"{hub}/users/bo/server"),
        ("DELETE", f"{hub}/users/bo/server"),
        ("POST", f"{hub}/users/bo/tokens"),
        ("GET", f"{hub}/proxy"),
        ("GET", f"{hub}/services"),
        ("POST", f"{hub}/shutdown"),
    ):
        assert ask(method, url) in ("403", "404", "405"), (method, url)
    assert ask("GET", "http://hub:8001/api/routes") == "curl: 7"  # the proxy's own API
    assert ask("GET", "http://class:10101/services/class/api/class") in ("401", "403", "404")
    assert room.inside("anna-muller", "sh", "-c", "ls /srv/hub /srv/class")[0] != 0
    mounts = {mount["Destination"] for mount in room.place("anna-muller").attrs["Mounts"]}
    assert mounts == {"/home/learner", "/var/lib/docker", "/seed"}


def _with_token(room: Class, script: str) -> str:
    """The script with the token that the place's server has, which a learner can read in it."""
    environment = room.place("anna-muller").attrs["Config"]["Env"]
    [token] = [each for each in environment if each.startswith("JUPYTERHUB_API_TOKEN=")]
    return f"export {token}; {script}"


def test_only_the_hub_has_the_engines_socket(room: Class) -> None:
    parts = [*(room.part(name) for name in (labels.FRONT, labels.PROXY, labels.CLASS)), room.place("bo")]
    for part in parts:
        assert "docker.sock" not in json.dumps(part.attrs["HostConfig"]["Binds"] or [])
    published = [part.attrs["HostConfig"]["PortBindings"] for part in [*parts, room.part(labels.HUB)]]
    assert [each for each in published if each] == [{"8443/tcp": [{"HostIp": "", "HostPort": "18499"}]}]


def test_instructors_see_the_class_page_and_learners_do_not(room: Class) -> None:
    assert len(room.codes["ida"]) >= 32
    ida, anna = room.browser("ida"), room.browser("anna-muller")
    page = ida.get("/services/class/")
    assert page.status_code == 200
    assert page.url.startswith(f"{ida.url}/services/class")
    assert anna.get("/services/class/").status_code == 403
    assert ida.get("/user/bo/api/contents").status_code in (403, 404)  # she teaches, but it's his place


def test_what_an_instructor_sends_arrives_and_what_learners_do_comes_back(room: Class) -> None:
    anna, page = room.browser("anna-muller"), room.part(labels.CLASS)
    anna.open_place()
    assert provision.wait_for_lab(room.client, NAME, "anna-muller")
    assert "1 learner" in workshop_class.message(page, "Break until ten", ["anna-muller"])
    assert anna.hears("Break until ten")
    workshop_class.begin(page, "01", ["anna-muller"])
    assert anna.hears("create-a-swarm")
    code, said = room.inside("anna-muller", "labkit", "check", "create.1")
    assert code == 1, said
    for _ in Deadline(60).attempts(0.5):
        rows = {row["name"]: row for row in json.loads(workshop_class.status(page, True))["learners"]}
        if rows["anna-muller"]["exercise"] == "create.1":
            break
    assert rows["anna-muller"]["chapter"] == "create-a-swarm"
    assert rows["anna-muller"]["refused"] == 1
    assert not rows["bo"]["chapter"]


def test_a_killed_place_returns_with_notebooks_and_progress(room: Class) -> None:
    bo = room.browser("bo")
    bo.open_place()
    bo.write("mine.txt", "kept")
    assert room.inside("bo", "labkit", "hint", "create.1")[0] == 0
    before = room.place("bo")
    before.kill()
    for _ in Deadline(60).attempts(1):  # the hub looks every 15 s
        if not bo.get("/hub/api/users/bo").json()["servers"]:
            break
    bo.open_place()
    assert room.place("bo").id != before.id
    assert bo.read("mine.txt") == "kept"
    _, progress = room.inside("bo", "labkit", "progress", "--json")
    assert "create.1" in progress
    assert provision.wait_for_lab(room.client, NAME, "bo")


def test_a_killed_hub_costs_no_kernel(room: Class) -> None:
    anna = room.browser("anna-muller")
    anna.open_place()
    kernel = anna.start_kernel()
    anna.run(kernel, "x = 41")
    before = room.place("anna-muller").id
    room.part(labels.HUB).kill()
    assert anna.run(kernel, "print(x)").strip() == "41"  # the proxy needs no hub for places that are there
    room.up()
    assert anna.run(kernel, "print(x + 1)").strip() == "42"
    assert room.place("anna-muller").id == before
    assert room.browser("anna-muller").get("/user/anna-muller/lab").status_code == 200


def test_a_latecomer_gets_a_card_unless_the_house_is_full(
    room: Class, command: Callable[..., tuple[int, str, str]]
) -> None:
    code, said, _ = command("add", "Late Comer")
    assert code == 0
    assert "late-comer" in said
    given = said.rpartition("Code: ")[2].strip()
    assert given in settings.cards_path(NAME).read_text()
    assert room.browser().login("late-comer", given).status_code == 302
    room.workshop = settings.require(NAME)
    full = settings.require(NAME)
    settings.save(Workshop(**{**vars(full), "seats": len(full.learners)}))
    try:
        code, _, said = command("add", "Too Late")
        assert code == 1
        assert "full" in said
    finally:
        settings.save(full)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `labkit workshop ACTION …` on the workshop; returns its code and what it printed."""
    from labkit.cli.main import main

    def run(action: str, *words: str) -> tuple[int, str, str]:
        code = main(["workshop", action, *words, "--name", NAME])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_a_port_that_is_taken_is_named(room: Class) -> None:
    other = Workshop(f"{NAME}-2", host="127.0.0.1", port=room.workshop.port, people=[roster.person("Eve")])
    try:
        with pytest.raises(EngineUnsuitable, match=f"port {room.workshop.port} isn't free"):
            provision.up(room.context, other, QUIET)
    finally:
        removal.down(room.context, other.name)
    assert left(room.client, other.name) == []


def test_too_many_learners_are_refused_with_the_reasons(room: Class) -> None:
    crowd = Workshop(NAME, host="127.0.0.1", port=room.workshop.port, people=roster.numbered(1000))
    with pytest.raises(LabError, match="room for") as refused:
        provision.up(room.context, crowd, QUIET)
    assert "memory" in "\n".join(refused.value.evidence)


def test_down_keeps_the_data_when_asked_to(room: Class) -> None:
    """Last in this file, because it takes the workshop down."""
    anna = room.browser("anna-muller")
    anna.open_place()
    anna.write("kept.txt", "for another day")
    done = removal.down(room.context, NAME, keep_data=True)
    kept = sorted(left(room.client))
    assert kept == sorted(name for name in done.kept if "/" not in name)
    assert all("_home-" in name or name.endswith("_class") for name in kept)
    again = settings.require(NAME)
    done_again = provision.up(room.context, again, QUIET)
    assert not done_again.fresh  # the cards are still right
    anna = room.browser("anna-muller")
    anna.open_place()
    assert anna.read("kept.txt") == "for another day"
