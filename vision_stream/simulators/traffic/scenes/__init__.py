"""The scenes: one module each, with its camera, its street and its script. ``SETTINGS`` lists them by name."""

from vision_stream.simulators.traffic.episode import Setting
from vision_stream.simulators.traffic.scenes import crossing, highway, junction, quiet, site

SETTINGS: dict[str, Setting] = {
    "crossing": crossing.SETTING,
    "junction": junction.SETTING,
    "highway": highway.SETTING,
    "site": site.SETTING,
    "quiet": quiet.SETTING,
}
