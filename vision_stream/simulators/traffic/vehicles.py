"""Cars, trucks and buses: how they are built and painted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from vision_stream.simulators.traffic.canvas import Colour, tinted
from vision_stream.simulators.traffic.solids import Face, Solid, block, disc, pane
from vision_stream.simulators.traffic.truth import Label

GLASS: Colour = (78, 66, 56)
TYRE: Colour = (34, 33, 32)
TRIM: Colour = (58, 56, 54)
HEADLAMP: Colour = (215, 232, 238)
TAIL_LAMP: Colour = (38, 32, 165)

# Muted, so that none comes near the hue and strength of a ring (see ``rings``).
PAINTS: tuple[Colour, ...] = (
    (226, 228, 230), (178, 176, 172), (118, 116, 112), (52, 50, 50), (118, 76, 48),
    (44, 42, 150), (150, 178, 192), (82, 92, 66), (62, 104, 168), (142, 112, 82),
)  # fmt: skip
BUS_PAINTS: tuple[Colour, ...] = ((54, 150, 196), (48, 46, 160), (208, 206, 200), (138, 100, 64))
CARGO_PAINTS: tuple[Colour, ...] = (
    (222, 224, 224),
    (196, 198, 196),
    (148, 110, 74),
    (92, 142, 168),
    (90, 100, 118),
)
TIPPER_PAINT: Colour = (52, 160, 206)


@lru_cache(maxsize=512)
def vehicle_of(label: Label, look: int) -> Solid:
    """A car, bus or truck; ``look`` picks build and paint."""
    if label == "bus":
        return _bus(BUS_PAINTS[look % len(BUS_PAINTS)])
    if label == "truck":
        paint = PAINTS[look % len(PAINTS)]
        return _tipper(TIPPER_PAINT) if look % 16 == 15 else _lorry(paint, CARGO_PAINTS[look // 11 % len(CARGO_PAINTS)])
    return _car(PAINTS[look % len(PAINTS)], build=look // 10 % 3)


TIPPER = 15  # a ``look``: the dump truck of building sites


def _car(paint: Colour, build: int) -> Solid:
    length, height = ((4.5, 1.45), (3.9, 1.5), (4.6, 1.75))[build]  # saloon, hatchback, off-roader
    rear, half, width, belt = -length / 2, length / 2, 1.8, height * 0.58
    hull = block((rear, half), (-width / 2, width / 2), (0.28, belt), shrink=(0.06, 0.1, 0.05))
    boot = 0.75 if build == 0 else 0.12
    cabin = block((rear + boot, half - 1.15), (-width / 2 + 0.06, width / 2 - 0.06), (belt, height),
                   shrink=(0.35 if build else 0.55, 0.7, 0.16))  # fmt: skip
    faces = [(side, paint) for side in hull.values()]
    faces += [(pane(hull["front"], u, u + 0.2, 0.5, 0.85), HEADLAMP) for u in (0.05, 0.75)]
    faces += [(pane(hull["front"], 0.3, 0.7, 0.15, 0.6), TRIM)]
    faces += [(pane(hull["rear"], u, u + 0.18, 0.5, 0.85), TAIL_LAMP) for u in (0.04, 0.78)]
    faces += _wheels((rear + 0.8, half - 0.85), width, 0.33)
    faces += [(side, paint) for side in cabin.values()]
    faces += [(pane(cabin[end], 0.06, 0.94, 0.08, 0.9), GLASS) for end in ("front", "rear")]
    faces += [(pane(cabin[side], u, u + 0.42, 0.12, 0.86), GLASS) for side in ("left", "right") for u in (0.06, 0.52)]
    return Solid(faces, length, width, height)


def _bus(paint: Colour) -> Solid:
    length, width, height = 10.5, 2.5, 3.0
    hull = block((-length / 2, length / 2), (-width / 2, width / 2), (0.35, height), shrink=(0.05, 0.1, 0.06))
    roof = [0.5 * c + 110 for c in paint]
    faces = [(side, paint) for side in hull.values()]
    faces += [(pane(hull["top"], 0.25, 0.75, 0.15, 0.4), (roof[0], roof[1], roof[2]))]
    faces += [
        (pane(hull[s], 0.03 + i * 0.158, 0.17 + i * 0.158, 0.48, 0.86), GLASS)
        for s in ("left", "right")
        for i in range(6)
    ]
    faces += [(pane(hull["right"], u, u + 0.08, 0.05, 0.84), GLASS) for u in (0.12, 0.56)]  # doors
    faces += [
        (pane(hull["front"], 0.06, 0.94, 0.36, 0.84), GLASS),
        (pane(hull["rear"], 0.12, 0.88, 0.5, 0.84), GLASS),
    ]
    faces += [(pane(hull["front"], u, u + 0.16, 0.1, 0.2), HEADLAMP) for u in (0.06, 0.78)]
    faces += [(pane(hull["rear"], u, u + 0.1, 0.1, 0.25), TAIL_LAMP) for u in (0.04, 0.86)]
    faces += _wheels((-length / 2 + 2.4, length / 2 - 2.2), width, 0.48)
    return Solid(faces, length, width, height)


def _lorry(paint: Colour, cargo: Colour) -> Solid:
    length, width = 8.0, 2.45
    load = block((-length / 2, length / 2 - 2.1), (-width / 2, width / 2), (0.85, 3.3), shrink=(0, 0, 0))
    faces = _chassis(length, width)
    faces += [(side, cargo) for side in load.values()]
    faces += [(pane(load["rear"], 0.06, 0.49, 0.05, 0.95), tinted(cargo, 0.88)),
              (pane(load["rear"], 0.51, 0.94, 0.05, 0.95), tinted(cargo, 0.88))]  # fmt: skip
    faces += [(pane(load[s], 0.0, 1.0, 0.0, 0.06), TRIM) for s in ("left", "right")]
    return Solid(faces + _cab(length, width, 2.75, paint), length, width, 3.3)


def _tipper(paint: Colour) -> Solid:
    length, width = 7.2, 2.5
    tub = block((-length / 2, length / 2 - 2.2), (-width / 2, width / 2), (0.95, 2.25), shrink=(-0.3, 0, -0.08))
    faces = _chassis(length, width)
    faces += [(side, paint) for side in tub.values()]
    faces += [(pane(tub["top"], 0.06, 0.94, 0.06, 0.94), (72, 98, 122))]  # earth
    ribs = [(pane(tub[s], u, u + 0.04, 0.0, 1.0), tinted(paint, 0.75))
            for s in ("left", "right") for u in (0.2, 0.45, 0.7)]  # fmt: skip
    return Solid(faces + ribs + _cab(length, width, 2.7, paint), length, width, 2.7)


def _chassis(length: float, width: float) -> list[Face]:
    frame = block((-length / 2, length / 2), (-width / 2 + 0.15, width / 2 - 0.15), (0.45, 0.95), shrink=(0, 0, 0))
    faces = [(side, TRIM) for side in frame.values()]
    faces += [(pane(frame["rear"], u, u + 0.14, 0.2, 0.7), TAIL_LAMP) for u in (0.03, 0.83)]
    return faces + _wheels((-length / 2 + 1.1, -length / 2 + 2.3, length / 2 - 1.1), width, 0.5)


def _cab(length: float, width: float, height: float, paint: Colour) -> list[Face]:
    cab = block(
        (length / 2 - 1.95, length / 2),
        (-width / 2 + 0.03, width / 2 - 0.03),
        (0.5, height),
        shrink=(0, 0.25, 0.08),
    )
    faces = [(side, paint) for side in cab.values()]
    faces += [
        (pane(cab["front"], 0.06, 0.94, 0.5, 0.88), GLASS),
        (pane(cab["front"], 0.2, 0.8, 0.1, 0.34), TRIM),
    ]
    faces += [(pane(cab["front"], u, u + 0.14, 0.08, 0.2), HEADLAMP) for u in (0.03, 0.83)]
    faces += [
        (pane(cab["left"], 0.08, 0.62, 0.5, 0.86), GLASS),
        (pane(cab["right"], 0.38, 0.92, 0.5, 0.86), GLASS),
    ]
    return faces


def _wheels(axles: Sequence[float], width: float, radius: float) -> list[Face]:
    faces: list[Face] = []
    for x in axles:
        for flank in (-1, 1):
            y = flank * (width / 2 + 0.02)
            faces += [
                (disc(x, y, radius, radius, flank), TYRE),
                (disc(x, y, radius, radius * 0.5, flank), (150, 150, 150)),
            ]
    return faces
