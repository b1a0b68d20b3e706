"""Cameras on the local network: who is there, and the stream addresses that they give.

    interfaces -> probe (WS-Discovery, UDP multicast) -> device (ONVIF over HTTP) -> streams (what to believe) -> report

``answers`` reads all XML, ``soap`` writes the requests and proves the password. What a device sends is hostile until
it is checked: sizes and numbers are bounded, entities are refused, and an address that leads to another host is not
followed. Needs the extra ``onvif``.
"""
