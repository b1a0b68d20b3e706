"""The streaming agents on an in-memory log with a virtual clock: one seed is one schedule.

    clock    an event loop whose time jumps; a hook at each of its turns, where a crash may come
    kafka    the log: partitions, appends on their way, committed offsets by generation
    compaction   what the brokers' cleaner leaves of the changelogs, when a recovery reads them
    worker   one worker: the real agents, stage, ledger, outboxes, rows and LLM scheduler on that log
    patched  where the agents' modules find "this worker" instead of Faust's app
    world    cameras, workers, crashes, rebalances; ``simulate(seed)`` runs one schedule and audits it

Real are the agents' functions, ``in_order``, ``OffsetLedger``, ``KeyLocks``, ``Outbox``, ``Rows``, the changes of a
table, ``LLMScheduler`` with its pool, ``gate``, ``join`` and the alerts. Simulated are the broker, Faust's consumer and
recovery, the LLM and Redis. ``python -m tests.simulation --seeds 20000`` runs many; ``--seed 17`` one again.
"""

from tests.simulation.world import Outcome, Plan, simulate

__all__ = ["Outcome", "Plan", "simulate"]
