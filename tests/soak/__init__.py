"""Hours of load with a fault every few minutes: does anything grow, and is anything lost? ``make soak``.

    stage      the processes: Kafka, Redis, the LLM simulator, two workers, a gateway
    traffic    the detections: each tenth of a camera brings new groups, the others hold what was seen before
    ledger     what became of them, by content, in bounded memory; pure
    tail       reads the topics along into the ledger
    viewers    two browsers' sessions at the gateway
    faults     F1 to F5, one after the other
    samples    what each process takes: memory, threads, descriptors, connections, tasks; keys, rows, lag
    auditing   `vision-stream audit` over the last minutes, at the end
    journal    all of it as JSON lines, flushed at once
    figures    slopes and levels of what was sampled; pure
    report     the journal as a page with a verdict
    run        all of it together

A run that was cut off is reported by ``python -m tests.soak --report DIR``.
"""
