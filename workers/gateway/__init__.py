"""The gateway: what Kafka (or, in one process, the core itself) says, pushed to browsers at once.

    tail -> hub (board, sessions with an outbox each) -> websocket -> a browser
                 \\-> rest, health, and the dashboard of static/

``board`` remembers the newest of each camera, ``outbox`` what one session has not been sent yet, ``protocol`` is what
travels on the socket, ``access`` who may come in, ``server`` puts the pages together, ``process`` runs it all.
"""
