"""`decide` against the model, over random operations on simulated time.

The store's clock is put in place of TIME in the script's text (packing.with_clock): the clock then moves exactly as
the test says, backwards too, and days pass in seconds; faking the clock of a whole redis-server would stand still or run
between two commands of one batch. test_script_clock.py has the script as it is, on the real clock.

RATION_MODEL_OPS   operations in all (300,000)
RATION_MODEL_SEED  the first seed (1)
"""

import os
from collections import Counter

import packing
import pytest
from world import World

OPS = int(os.environ.get("RATION_MODEL_OPS", "300000"))
SEED = int(os.environ.get("RATION_MODEL_SEED", "1"))
PER_WORLD = 7500
CHUNKS = 12

learned = Counter()  # over all chunks: which cases of learning there were


def run_world(client, name, seed, ops):
    world = World(client, name, seed)
    batches = 0
    try:
        while world.ops < ops:
            sent, answers, written = world.random_batch()
            for o, a in list(zip(sent, answers))[:4]:
                if o.kind == packing.ACQUIRE and a.outcome == packing.DENIED and not written:
                    world.verify_wait(o, a)
            batches += 1
            if batches % 40 == 0:
                world.verify()
        world.verify()
    except AssertionError as e:
        raise AssertionError(f"seed {seed}, batch {batches}, after {world.ops} operations: {e}") from e
    return world.outcomes, world.model.met


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_operations_agree(store, chunk):
    name = packing.load_with_clock(store)
    worlds = max(1, round(OPS / PER_WORLD / CHUNKS))
    outcomes = Counter()
    for i in range(worlds):
        more, met = run_world(store, name, SEED + chunk * worlds + i, PER_WORLD)
        outcomes += more
        learned.update(met)
    # Random operations that never meet a case prove nothing about it.
    assert len(outcomes) >= 8, outcomes
    assert min(outcomes[o] for o in (packing.GRANTED, packing.DENIED, packing.SETTLED)) > 40 * worlds, outcomes


@pytest.mark.skipif(OPS < 300_000, reason="too few operations to meet everything")
def test_random_operations_have_met_each_case_of_learning():
    for case in ((packing.INPUT, 1), (packing.INPUT, -1), (packing.INPUT, 0), (packing.OUTPUT, -1), "halved"):
        assert learned[case] > 0, learned
