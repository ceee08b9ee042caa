"""Networks in which motifs of the weights alone stand at known neurons, among decoys that almost
have them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from tests.support.planted_kinds import Plan

__all__ = ["grouped_weights", "hosted", "inhibition", "readers", "spread", "unions"]

GROUP, GROUPS, READ = 5, 6, 192  # inputs of a group, groups, and what they read


def readers(rng: np.random.Generator) -> Plan:
    """Neurons that read two groups of alike inputs, and decoys: one group, a group and strays, one
    inhibits, two of the other.
    """
    plan = Plan({"in": READ, "mid": GROUP * GROUPS + 10, "out": 40}, rng)
    groups, _ = np.linalg.qr(rng.standard_normal((READ, GROUPS + 10)))
    prototypes = np.concatenate([np.repeat(groups.T[:GROUPS], GROUP, axis=0), groups.T[GROUPS:]])
    plan.weights["mid"][..., 0, 0] = prototypes
    strays = GROUP * GROUPS + np.arange(10)
    for reader in range(40):
        decoy = reader % 5
        one, other = (GROUP * group + np.arange(GROUP) for group in rng.permutation(GROUPS)[:2])
        row = plan.weights["out"][reader, :, 0, 0]
        row[one] = 1
        if decoy == 0:
            row[other] = 1
            plan.planted.add(((f"planted/out:{reader}",),))
        elif decoy == 2:
            row[rng.permutation(strays)[:GROUP]] = 1
        elif decoy == 3:
            row[other] = -1
        elif decoy == 4:
            row[other[:2]] = 1
    return plan


SENDERS, RECEIVERS = 24, 32


def grouped_weights(
    seed: int, *, noise: float, popular: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights whose sizes fall into two groups, and which senders and receivers are in the first.

    ``popular`` instead: no groups, but some senders send much more than others, and some receivers
    read more.
    """
    rng = np.random.default_rng(seed)
    first, reads = (
        rng.permutation(SENDERS) < SENDERS // 2,
        rng.permutation(RECEIVERS) < RECEIVERS // 2,
    )
    size = np.where(first[:, None] == reads, 1.0, 0.25)
    if popular:
        size = np.exp(rng.standard_normal((SENDERS, 1)) + rng.standard_normal(RECEIVERS))
    size = size * np.exp(noise * rng.standard_normal(size.shape))
    return size * rng.choice([-1.0, 1.0], size.shape), first, reads


def _cases(plan: Plan, pair: int, kind: int) -> tuple[np.ndarray, np.ndarray]:
    """Write the fan-ins of a pair of cases, ten inputs of its own: those that excite the first, and
    the second, if planted.
    """
    own = 12 * pair + plan.rng.permutation(12)[:10]
    a, b = own[:5], own[5:]
    first, second = plan.weights["case"][2 * pair : 2 * pair + 2, :, 0, 0]
    first[a] = 1
    if kind in (0, 1, 2):  # each is excited by what inhibits the other
        first[b], second[b], second[a] = -1, 1, -1
    elif kind == 3:  # nobody inhibits
        second[b] = 1
    elif kind == 4:  # one is inhibited
        second[b], second[a] = 1, -1
    else:  # the same main inputs
        first[b], second[b], second[a] = -1, -1, 1
    return a, b


def inhibition(rng: np.random.Generator) -> Plan:
    """Two pairs of cases that inhibit each other, with four kinds of decoys; the last has
    inhibitors of its own.
    """
    plan = Plan({"in": 144, "case": 24}, rng)
    for pair in range(12):
        kind = (0, 3, 4, 5, 6, 6)[pair % 6]
        if kind == 6:
            own = 12 * pair + np.arange(12)
            for case in range(2):
                drawn = own[6 * case : 6 * case + 6]
                plan.weights["case"][2 * pair + case, drawn, 0, 0] = rng.permutation(
                    [1, 1, 1, -1, -1, -1]
                )
            continue
        a, b = _cases(plan, pair, kind)
        if kind == 0:
            plan.planted |= {
                (_keys("case", (2 * pair, 2 * pair + 1)), _keys("in", ends))
                for ends in _pairs(a, b)
            }
    return plan


def unions(rng: np.random.Generator) -> Plan:
    """Two neurons for each pair of cases that unite it; decoys unite one case, or one less the
    other, or no opponents.
    """
    plan = Plan({"in": 144, "case": 24, "union": 24}, rng)
    for pair in range(12):
        kind, cases = pair % 6, (2 * pair, 2 * pair + 1)
        a, b = _cases(plan, pair, kind)
        for union in cases:
            plan.weights["union"][union, cases[0]] = 1
            plan.weights["union"][union, cases[1]] = {1: 0, 2: -1}.get(kind, 1)
            if kind == 0:
                found = (_keys("union", (union,)), _keys("case", cases))
                plan.planted |= {(*found, _keys("in", ends)) for ends in _pairs(a, b)}
    return plan


def _keys(layer: str, numbers: Iterable[int]) -> tuple[str, ...]:
    return tuple(f"planted/{layer}:{number}" for number in numbers)


def _pairs(a: np.ndarray, b: np.ndarray) -> list[tuple[int, int]]:
    return [(int(one), int(other)) for one in a for other in b]


def hosted(rng: np.random.Generator) -> Plan:
    """Features spread over eight hosts each, and decoys: with a home, over two hosts, inhibiting,
    weak everywhere.
    """
    plan = Plan({"in": 96, "host": 96}, rng)
    into = plan.weights["host"][..., 0, 0]
    for host in range(96):
        into[host, 36 + rng.permutation(60)[:3]] = 2
    for feature in range(30):
        kind, hosts = feature % 5, rng.permutation(95)[:8]
        if kind == 4:
            into[:, feature] = 0.2
        elif kind == 2:
            into[hosts[:2], feature] = 1
        else:
            into[hosts, feature] = -1 if kind == 3 else 1
        if kind == 1:
            into[95 - feature // 5, feature] = 4
        if kind == 0:
            plan.planted.add((_keys("in", (feature,)),))
    return plan


def spread(rng: np.random.Generator, *, hosts: int) -> Plan:
    """Features over all hosts that readers read back; decoys read three of the hosts, the opposite,
    one host, or at random.
    """
    plan = Plan({"in": 2 * hosts, "host": hosts, "out": 2 * hosts}, rng)
    into, out = plan.weights["host"][..., 0, 0], plan.weights["out"][..., 0, 0]
    into[:] = rng.standard_normal(into.shape)
    out[:] = rng.standard_normal(out.shape)
    for reader in range(hosts):
        kind = reader % 4
        if kind == 0:
            out[reader] = into[:, reader]
            plan.planted.add((_keys("in", (reader,)), _keys("out", (reader,))))
        elif kind == 1:
            out[reader] = 0
            out[reader, np.argsort(-into[:, reader])[:3]] = math.sqrt(hosts / 3)
        elif kind == 2:
            out[reader] = -into[:, reader]
        else:  # the feature has a host of its own
            into[:, reader] = 0
            into[reader // 4, reader] = out[reader, reader // 4] = math.sqrt(hosts)
    return plan
