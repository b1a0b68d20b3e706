"""The fault suite: ``python -m tests.faults --rows F1,F5 --rounds 10 --seed 7 [--record]``, or ``make faults``.

Exit status 0: nothing was lost, wrong or hung; 1: something was, and what shows it is kept in var/faults.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import time

from tests.faults.rows import ROWS
from tests.faults.suite import ledger
from tests.faults.suite.plan import Round, choose, rounds
from tests.faults.suite.play import play_all


def main() -> int:
    options = _options()
    if options.list:
        print("\n".join(f"{row.name:20} {row.title}" for row in ROWS))
        return 0
    if options.page:
        ledger.write_page(ROWS)
        return 0
    seed = random.randrange(1 << 20) if options.seed is None else options.seed
    try:
        planned = rounds(choose(ROWS, filter(None, options.rows.split(","))), options.rounds, seed)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(planned)} rounds, seed {seed}", flush=True)
    logging.disable(logging.CRITICAL)  # the client's words, ten a second while a broker is away
    return asyncio.run(_play(planned, options.minutes, options.record))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Faults under load, audited by content")
    parser.add_argument("--rows", default="", help="names like F1,F6.three-nodes; none: all")
    parser.add_argument("--rounds", type=int, default=1, help="of each family, its variants in turn")
    parser.add_argument("--seed", type=int, help="of the first round, the next has one more; printed where not given")
    parser.add_argument("--minutes", type=float, help="begin no round after so long")
    parser.add_argument("--record", action="store_true", help="add the rounds to docs/reliability.md")
    parser.add_argument("--page", action="store_true", help="only write docs/reliability.md anew")
    parser.add_argument("--list", action="store_true", help="only say which rows there are")
    return parser.parse_args()


async def _play(planned: list[Round], minutes: float | None, record_them: bool) -> int:
    began, failed, played = time.monotonic(), 0, 0
    until = None if minutes is None else began + 60 * minutes
    async for record in play_all(planned, until=until, say=lambda text: print(text, flush=True)):
        print(record, flush=True)
        played += 1
        failed += bool(record.failed)
        if record_them:
            ledger.append(record)
            ledger.write_page(ROWS)
    print(f"{played} of {len(planned)} rounds in {(time.monotonic() - began) / 60:.1f} min, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
