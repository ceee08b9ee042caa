"""Words that several parts share."""

from __future__ import annotations

import pytest

from circuitome.graphdb.schema import NODES
from circuitome.vocabulary import GROUPS, PREFERENCES, STIMULI, SWITCHES, TRAITS, with_traits


def test_every_trait_is_declared_and_some_stimulus_has_it() -> None:
    assert set().union(*STIMULI.values()) == set(TRAITS)


def test_no_stimulus_is_grey_and_coloured() -> None:
    assert with_traits("grey", "coloured") == ()


def test_an_unknown_trait_is_an_error_that_names_those_that_are_known() -> None:
    with pytest.raises(KeyError, match=r"'gray' is not known; the traits are grey, coloured"):
        with_traits("gray")


def test_switches_are_groups_and_preferences_are_properties_of_neurons() -> None:
    assert set(SWITCHES) < set(GROUPS)
    properties = {column.name for column in NODES["Neuron"].columns}
    assert set(PREFERENCES) <= properties
