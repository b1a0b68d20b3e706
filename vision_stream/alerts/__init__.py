"""One danger, one alert: opened by a verdict, continued by those that confirm it, resolved by a calm one or by time.

An alert is the same while the camera, a kind of risk and members (or their place) are the same. Pure: the clock is
the frame's own time, and what comes again changes nothing.
"""

from vision_stream.alerts.book import AlertBook, observe, stale, tick

__all__ = ["AlertBook", "observe", "stale", "tick"]
