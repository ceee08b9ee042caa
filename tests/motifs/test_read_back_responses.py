"""Superposition read back by responses: planted features, and what must not count."""

from __future__ import annotations

import numpy as np
import pytest

from circuitome.graphdb.bundle import Bundle, BundleError
from circuitome.graphdb.signatures import unit_rows
from circuitome.queries.algorithms.follow import followed, following
from circuitome.queries.algorithms.read_back import Chain
from circuitome.queries.motifs.read_back_responses import read_back_by_responses
from tests.support.synthetic import write_bundle

SENDERS, HOSTS, SAMPLES = 96, 48, 2000


def instances(chain: Chain, seed: int) -> set[tuple[int, int]]:
    """Pairs of sender and reader that are found where senders are sparse and independent."""
    rng = np.random.default_rng(seed)
    senders = np.maximum(rng.standard_normal((SENDERS, SAMPLES)) - 1, 0)
    hosts = chain.into @ senders
    sides = (unit_rows(each) for each in (senders, hosts, chain.out @ hosts))
    i, r, _ = following(followed(chain, *sides), chain, gain=0.1, hosts=3)
    return set(zip(i.tolist(), r.tolist(), strict=True))


def chain_of(into: np.ndarray, out: np.ndarray) -> Chain:
    senders, hosts, readers = np.split(
        np.arange(SENDERS + HOSTS + len(out)), [SENDERS, SENDERS + HOSTS]
    )  # numbers of neurons do not matter here
    return Chain(senders, hosts, readers, into, out)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_features_that_readers_recover_are_found_and_nothing_else(noise: float) -> None:
    hits = calls = planted = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        into = rng.standard_normal((HOSTS, SENDERS))
        recovered = rng.permutation(SENDERS)[:12]
        demixing = np.linalg.pinv(into)[recovered]
        copies = np.eye(HOSTS)[rng.permutation(HOSTS)[:12]]  # decoys: readers of one host each
        out = np.concatenate([demixing / demixing.std(), copies / copies.std()])
        out[:12] += noise * rng.standard_normal((12, HOSTS))
        found = instances(chain_of(into, out), seed)
        expected = {(int(sender), reader) for reader, sender in enumerate(recovered)}
        hits, calls, planted = (
            hits + len(found & expected),
            calls + len(found),
            planted + len(expected),
        )
    assert hits >= 0.95 * calls
    assert hits >= 0.95 * planted


def test_a_sender_with_a_host_of_its_own_is_not_spread() -> None:
    rng = np.random.default_rng(0)
    into = np.eye(HOSTS, SENDERS) + 0.01 * rng.standard_normal((HOSTS, SENDERS))
    assert instances(chain_of(into, np.eye(HOSTS)), 0) == set()


def test_readers_at_random_recover_hardly_anything() -> None:
    rng = np.random.default_rng(1)
    into, out = rng.standard_normal((HOSTS, SENDERS)), rng.standard_normal((24, HOSTS))
    assert len(instances(chain_of(into, out), 1)) <= 2


def test_a_bundle_without_signatures_says_how_to_get_them(tmp_path) -> None:
    bundle: Bundle = write_bundle(tmp_path / "toy", layers=(3, 8, 6, 4))
    with pytest.raises(BundleError, match="--parts signatures"):
        read_back_by_responses(bundle, nulls=1)
