"""conda gets the same dependencies as pip."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
CONDA_NAMES = {"docker": "docker-py"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]


def split(requirement: str) -> tuple[str, frozenset[str]]:
    """A requirement's name and its bounds, in whatever order: `docker>=7.1,<8`."""
    end = next((place for place, letter in enumerate(requirement) if letter in "<>=!~ "), len(requirement))
    bounds = requirement[end:].replace(" ", "")
    return requirement[:end], frozenset(bounds.split(",")) - {""}


def pip_requirements() -> dict[str, frozenset[str]]:
    listed = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    named = dict(split(requirement) for requirement in listed)
    return {CONDA_NAMES.get(name, name): bounds for name, bounds in named.items()}


def conda_requirements() -> dict[str, frozenset[str]]:
    return dict(split(entry) for entry in ENVIRONMENT if isinstance(entry, str))


def test_both_list_the_same_packages_in_the_same_ranges() -> None:
    conda = conda_requirements()
    del conda["python"], conda["pip"]
    assert conda == pip_requirements()


def test_every_package_has_a_lower_and_an_upper_bound() -> None:
    for name, bounds in pip_requirements().items():
        assert sorted(bound[0] for bound in bounds) == ["<", ">"], name


def test_both_want_the_same_python() -> None:
    assert conda_requirements()["python"] == {PROJECT["requires-python"]}


def test_conda_installs_labkit_itself_by_pip() -> None:
    assert [entry for entry in ENVIRONMENT if not isinstance(entry, str)] == [{"pip": ["--editable ."]}]
