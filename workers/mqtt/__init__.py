"""What the pipeline says, told to an MQTT broker in the shapes that Home Assistant and Frigate users know.

    tail or pipeline -> sink (a camera each: counts, tracks, alerts, discovery) -> outbox -> link -> the broker

``topics`` names what is published, ``tracks`` makes events of detections, ``discovery`` describes a camera to Home
Assistant. All of these are pure; ``link`` alone talks to the broker, and nobody waits for it. ``process`` is the
command, ``beside`` the same within ``vision-stream run``.
"""
