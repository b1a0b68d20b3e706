"""Rounds of faults: steady load, a fault at a random moment, recovery measured, everything audited by content.

    row       what a row of docs/reliability.md is: a fault, the setting that it needs, the recovery asked
    scene     a running system of one setting: broker, Redis, LLM, workers, load, auditor
    run       one round on a scene, as a ``Record``
    plan      which rounds, and which of them share a scene
    evidence  what is kept of a round that failed
    ledger    docs/reliability.jsonl, a line a round, and the page made of it

Rows are in ``tests.faults.rows``; ``python -m tests.faults`` runs them.
"""
