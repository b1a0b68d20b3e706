"""Several capture workers that share the cameras: ``--group NAME``. Read it in the order of the data.

shares      pure: which member watches which camera
protocol    what members tell their leader, and it them, inside Kafka's own messages about a group
membership  one worker's life in the group: joins, is told its share, stops when it is told that it is out

See ``docs/decisions/0011-capture-groups.md`` for why it is a consumer group.
"""
