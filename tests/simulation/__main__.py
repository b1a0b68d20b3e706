"""``python -m tests.simulation --seeds 20000``: many schedules; ``--seed 17``: one again, with all that befell it."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import nullcontext

from tests.simulation import simulate
from tests.simulation.mutations import ALL


def main() -> int:
    """Exit code 1 where a seed fails; prints what befell it, and how to run it again."""
    named = {mutation.__name__: mutation for mutation in ALL}
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one, and say what befell it")
    parser.add_argument("--mutate", choices=sorted(named), help="with this mistake in the agents")
    asked = parser.parse_args()
    mutate = named.get(asked.mutate, lambda agents: nullcontext())
    seeds = range(asked.first, asked.first + asked.seeds) if asked.seed is None else [asked.seed]
    began, failed = time.perf_counter(), 0
    for seed in seeds:
        outcome = simulate(seed, mutate=mutate)
        if not outcome.ok or asked.seed is not None:
            print(outcome, flush=True)
        if not outcome.ok:
            failed += 1
            mutated = f" --mutate {asked.mutate}" if asked.mutate else ""
            print(f"  again: python -m tests.simulation --seed {seed}{mutated}", flush=True)
    print(f"{len(seeds)} seeds in {time.perf_counter() - began:.1f} s: {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
