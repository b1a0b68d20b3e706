"""The dead letters: what could not be read or handled, looked at, sent again, or thrown away.

    letters   a letter and its id; what a replay would do with each (pure)
    desk      reads them from Kafka, sends them again, deletes them

A letter's id is the place of the message that was buried: ``topic-partition@offset``. What is sent again says in a
header which letter it was, so that a second replay passes it over.
"""

from vision_stream.dead_letters.letters import REPLAYED_FROM, Kept, Verdict, plan

__all__ = ["REPLAYED_FROM", "Kept", "Verdict", "plan"]
