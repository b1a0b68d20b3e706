"""Nothing is lost between two topics: Faust 0.15's delivery, cured. Read it in the order of a message.

    consumer   hands on every record, reads again what got lost on the way (``rereads``), commits what the ledger
               says; ``consumer_thread`` does what has to happen beside aiokafka
    flow       a resumed flow that empties no queue
    offsets    the ledger: which offset may be committed (pure)
    marks      what is done behind a committed offset, as the commit's text (pure)
    record     a message as a handler sees it
    stage      ``in_order``: handlers side by side, one a key at a time, acks in offset order
    keylocks   one holder a key at a time
    changelog  tables whose changes are delivered before the message that made them is acked
    tenure     a table's partitions as this worker has them: whose they are, and which rows count
    ownership  taking a partition over: recover, announce, recover up to that; former owners are fenced
    produce    an idempotent producer, and ``Outbox``: send, and know that it is delivered
    trouble    which errors pass by themselves, and how long to wait for that
    bury       the dead-letter topic: what cannot be read or handled, with its bytes
    lag        how far behind: messages and seconds

An agent is ``await in_order(stream, handler, ...)`` and nothing more. The rules behind it, and what each of them costs,
are in ``docs/decisions/0003-delivery.md``; what is cured in Faust, in ``docs/upstream/``.
"""

from vision_stream.delivery.keylocks import KeyLocks
from vision_stream.delivery.offsets import OffsetLedger
from vision_stream.delivery.produce import Outbox
from vision_stream.delivery.record import Record
from vision_stream.delivery.stage import in_order

__all__ = ["KeyLocks", "OffsetLedger", "Outbox", "Record", "in_order"]
