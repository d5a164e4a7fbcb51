"""Predictions are committed once, recorded, and compared with what happens."""

from pathlib import Path

import pytest

from labkit import Lab, widgets
from labkit.course import progress, report


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("LABKIT_DATA_DIR", str(tmp_path))
    return Lab("mine")


def test_one_click_commits_and_the_first_prediction_stands(lab: Lab) -> None:
    asked = widgets.Predict(lab, "services.dip", "2", "3")
    asked.choice.value = "3"
    assert asked.choice.disabled and "You predict: 3" in asked.said.value
    asked.commit("2")
    assert [entry.detail for entry in progress.of(lab).records("prediction")] == [{"answer": "3"}]


def test_a_short_text_is_a_prediction_and_a_blank_one_is_none(lab: Lab) -> None:
    asked = widgets.Predict(lab, "services.dip")
    asked.text.value = "  "
    asked.button.click()
    assert asked.committed is None and progress.records() == []
    asked.text.value = " the  Leader "
    asked.button.click()
    assert asked.committed == "the  Leader"
    assert lab.outcome("services.dip", "the leader").right


def test_the_outcome_is_compared_and_counted(lab: Lab) -> None:
    widgets.Predict(lab, "services.dip", "2", "3").choice.value = "3"
    assert repr(lab.outcome("services.dip", 2)) == "You predicted: 3\nWhat happened: 2"
    assert repr(lab.outcome("services.dip", 3)) == "You predicted: 3\nWhat happened: 3  ✓"
    [services] = [found for found in report.summary()["chapters"] if found["name"] == "run-services"]
    assert services["predictions"] == {"made": 1, "right": 1}


def test_a_prediction_is_forgotten_when_the_chapter_begins_again(lab: Lab) -> None:
    widgets.Predict(lab, "services.dip", "2", "3").choice.value = "3"
    progress.of(lab).note("chapter", "run-services")
    found = lab.outcome("services.dip", 2)
    assert found.predicted is None and repr(found) == "What happened: 2"
    assert progress.records("outcome") == []


def test_who_only_reads_sees_the_choices(lab: Lab) -> None:
    asked = widgets.Predict(lab, "services.dip", "two of four", "three of four")
    assert asked._repr_mimebundle_()["text/plain"] == "Your prediction: ( ) two of four   ( ) three of four"
    assert repr(widgets.Predict(lab, "services.dip")).startswith("Your prediction:")


def test_a_prediction_survives_export_and_import(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    widgets.Predict(lab, "services.dip", "2", "3").choice.value = "3"
    lab.outcome("services.dip", 2)
    progress.export(tmp_path / "file.json")
    monkeypatch.setenv("LABKIT_DATA_DIR", str(tmp_path / "other"))
    assert progress.load(tmp_path / "file.json") == 2
    assert progress.records("outcome")[0].detail == {"predicted": "3", "actual": "2"}
