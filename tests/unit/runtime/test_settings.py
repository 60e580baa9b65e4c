"""Training settings parse, print, and are refused with everything that is wrong."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ein.grammar.diagnostics import EinError
from ein.runtime.settings import Budget, TrainSettings, rate

SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "batch": st.integers(2, 512),
        "lr": st.floats(1e-6, 10),
        "optimiser": st.sampled_from(["sgd", "adam", "adamw"]),
        "weight_decay": st.floats(0, 1),
        "schedule": st.sampled_from(["cosine", "constant"]),
        "label_smoothing": st.floats(0, 0.9),
        "augment": st.sampled_from(["none", "shift", "flip"]),
        "warmup": st.floats(0, 1),
        "clip": st.floats(0, 10),
    },
)


@given(SETTINGS)
def test_what_is_printed_and_recorded_reads_back(given_settings: dict[str, object]) -> None:
    settings = TrainSettings.of(given_settings)
    assert TrainSettings.of(settings.to_json()) == settings
    assert TrainSettings.parse(str(settings).split()) == settings
    assert all(getattr(settings, name) == value for name, value in given_settings.items())


def test_defaults_follow_the_optimiser() -> None:
    assert TrainSettings.of({}) == TrainSettings()
    assert str(TrainSettings()) == (
        "batch=64 lr=0.005 optimiser=adamw weight_decay=0.01 schedule=cosine label_smoothing=0.0 augment=none "
        "warmup=0.05 clip=1.0"
    )
    sgd = TrainSettings.parse(["optimiser=sgd"])
    assert (sgd.lr, sgd.momentum, sgd.weight_decay) == (0.04, 0.9, 3e-4)
    assert "momentum=0.9" in str(sgd)
    assert TrainSettings.parse(["optimiser=sgd", " lr = 0.5 "]).lr == 0.5


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(EinError) as caught:
        TrainSettings.of(
            {"lr": "fast", "batch": 1, "colour": "red", "augment": "mixup", "clip": math.inf, "momentum": 0.9}
        )
    assert [d.message for d in caught.value.diagnostics] == [
        "`lr` is `fast`, expected a number above 0",
        "`batch` is `1`, expected a whole number of at least 2",
        "there is no training setting `colour`",
        "`augment` is `mixup`, expected none, shift or flip",
        "`clip` is `inf`, expected a norm of at least 0 (0: no clipping)",
        "`momentum` is for sgd alone",
    ]
    assert {d.code for d in caught.value.diagnostics} == {"E810"}
    assert "batch, lr, optimiser" in caught.value.diagnostics[2].help


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["lr"], "`lr` is no training setting, expected name=value"),
        (["lr=1", "lr=2"], "`lr` is given twice"),
        (["lr="], "`lr` is ``, expected a number above 0"),
        (["batch=6.5"], "`batch` is `6.5`, expected a whole number of at least 2"),
        (["lr=nan"], "`lr` is `nan`, expected a number above 0"),
    ],
)
def test_pairs_that_are_not_settings(pairs: list[str], message: str) -> None:
    with pytest.raises(EinError) as caught:
        TrainSettings.parse(pairs)
    assert [d.message for d in caught.value.diagnostics] == [message]


def test_a_budget_is_one_thing() -> None:
    for wrong in ({}, {"epochs": 1, "steps": 2}, {"seconds": 0}, {"steps": -1}, {"seconds": math.inf}):
        with pytest.raises(ValueError, match=r"a budget is one of|must be above 0"):
            Budget(**wrong)
    assert Budget(seconds=2).to_json() == {"seconds": 2}
    assert Budget(epochs=4).spent(steps=10, seconds=99, epoch_steps=5) == 0.5
    assert Budget(steps=40).spent(steps=10, seconds=99, epoch_steps=5) == 0.25
    assert Budget(seconds=4).spent(steps=10, seconds=1, epoch_steps=5) == 0.25


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    cosine = TrainSettings(lr=1.0, warmup=0.1)
    rates = [rate(cosine, spent / 100) for spent in range(101)]
    assert rates[0] == 0.01 and rates[5] == 0.5 and rates[10] == 1.0
    assert rates[:11] == sorted(rates[:11]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.5) and rates[100] == pytest.approx(0, abs=1e-12)
    constant = TrainSettings(lr=1.0, warmup=0, schedule="constant")
    assert {rate(constant, spent / 100) for spent in range(101)} == {1.0}
