"""What people on foot and on two wheels wear, ride and do with their limbs, in their own metres.

x is forward, y to their left, z up. Colours are muted, so that none comes near the hue and strength of a ring.
"""

from __future__ import annotations

from math import pi, sin
from typing import NamedTuple

from vision_stream.simulators.traffic.canvas import Colour, tinted
from vision_stream.simulators.traffic.truth import Label

STRIDE_M = 0.75
WORKER = 1000  # a ``look`` from here on wears a helmet and a vest

SKIN: tuple[Colour, ...] = ((150, 178, 214), (110, 142, 186), (66, 92, 132), (48, 64, 96))
TOPS: tuple[Colour, ...] = (
    (52, 52, 150), (150, 104, 62), (60, 60, 62), (206, 204, 202),
    (70, 128, 176), (92, 112, 76), (110, 88, 118), (160, 152, 140),
)  # fmt: skip
TROUSERS: tuple[Colour, ...] = ((92, 66, 48), (48, 46, 44), (104, 116, 128), (120, 118, 116))
HAIR: tuple[Colour, ...] = ((30, 34, 44), (44, 70, 104), (120, 150, 170), (110, 112, 116))
VESTS: tuple[Colour, ...] = ((52, 130, 226), (60, 190, 214))
HELMETS: tuple[Colour, ...] = ((226, 228, 230), (56, 176, 220), (60, 64, 190))
FRAMES: tuple[Colour, ...] = ((48, 48, 150), (120, 84, 56), (60, 60, 60), (190, 190, 190))
ENGINE: Colour = (70, 70, 70)
STEEL: Colour = (150, 150, 150)
LAMP: Colour = (205, 222, 228)

Point = tuple[float, float, float]


class Limb(NamedTuple):
    """A line with a thickness in metres: an arm, half a leg, a tube of a frame."""

    start: Point
    end: Point
    thickness: float
    colour: Colour


class Wheel(NamedTuple):
    """It stands on the ground at ``x``; radius and tyre in metres."""

    x: float
    radius: float
    thickness: float


class Head(NamedTuple):
    centre: Point
    radius: float
    face: Colour
    cap: Colour


class Build(NamedTuple):
    """A figure's parts, in the order in which they are painted."""

    wheels: tuple[Wheel, ...]
    limbs: tuple[Limb, ...]
    torso: tuple[Point, ...]
    top: Colour
    head: Head


def build_of(label: Label, look: int, travelled: float, still: bool) -> Build:
    """A person, or a bicycle or motorcycle with its rider, after so many metres; ``look`` picks clothes and size."""
    if label == "person":
        return _walker(look, swing=0.0 if still else sin(travelled / STRIDE_M * pi))
    return _cyclist(look, travelled) if label == "bicycle" else _motorcyclist(look)


def _walker(look: int, swing: float) -> Build:
    worker = look >= WORKER
    h = 1.62 + 0.05 * (look % 5)
    trousers, skin = TROUSERS[look // 3 % len(TROUSERS)], SKIN[look // 7 % len(SKIN)]
    top = VESTS[look % len(VESTS)] if worker else TOPS[look % len(TOPS)]
    sleeve = trousers if worker else tinted(top, 0.85)
    cap = HELMETS[look % len(HELMETS)] if worker else HAIR[look // 2 % len(HAIR)]
    limbs: list[Limb] = []
    for side in (-1, 1):
        step, reach = 0.30 * swing * side, 0.24 * swing * side
        hip, knee, foot = (
            (0.0, 0.09 * side, 0.50 * h),
            (0.55 * step, 0.09 * side, 0.26 * h),
            (step, 0.09 * side, 0.03),
        )
        limbs += [Limb(hip, knee, 0.17, trousers), Limb(knee, foot, 0.13, trousers)]
        limbs.append(Limb((0.0, 0.23 * side, 0.79 * h), (-reach, 0.25 * side, 0.48 * h), 0.10, sleeve))
    torso = ((0, -0.13, 0.5 * h), (0, 0.13, 0.5 * h), (0, 0.18, 0.8 * h), (0, -0.18, 0.8 * h))
    return Build((), tuple(limbs), torso, top, Head((0.02, 0, 0.925 * h), 0.135, skin, cap))


def _cyclist(look: int, travelled: float) -> Build:
    frame = FRAMES[look % len(FRAMES)]
    rear, front, crank = (-0.53, 0, 0.34), (0.53, 0, 0.34), (-0.05, 0, 0.3)
    saddle, bars = (-0.2, 0, 0.9), (0.38, 0, 0.9)
    tubes = (rear, crank), (crank, saddle), (saddle, rear), (saddle, bars), (crank, bars), (bars, front)
    feet = []
    for side in (-1, 1):
        turned = travelled * 1.6 + (pi if side > 0 else 0.0)
        feet.append((-0.05 + 0.16 * sin(turned), 0.1 * side, 0.3 + 0.16 * sin(turned + pi / 2)))
    return _riding(
        look,
        wheels=(Wheel(-0.53, 0.34, 0.05), Wheel(0.53, 0.34, 0.05)),
        machine=[Limb(a, b, 0.05, frame) for a, b in tubes],
        hip=0.98,
        grip=(0.42, 1.05),
        feet=feet,
        head=Head((0.22, 0, 1.6), 0.135, SKIN[look // 7 % len(SKIN)], HAIR[look // 2 % len(HAIR)]),
    )


def _motorcyclist(look: int) -> Build:
    paint, helmet = FRAMES[look % len(FRAMES)], HELMETS[look % len(HELMETS)]
    machine = [
        Limb((-0.75, 0, 0.72), (0.1, 0, 0.72), 0.30, paint),
        Limb((0.05, 0, 0.80), (0.42, 0, 0.86), 0.32, paint),
        Limb((-0.2, 0, 0.42), (0.25, 0, 0.42), 0.36, ENGINE),
        Limb((0.68, 0, 0.31), (0.42, 0, 1.02), 0.10, STEEL),
        Limb((0.55, 0, 0.86), (0.57, 0, 0.86), 0.20, LAMP),
    ]
    return _riding(
        look,
        wheels=(Wheel(-0.68, 0.31, 0.16), Wheel(0.68, 0.31, 0.16)),
        machine=machine,
        hip=0.80,
        grip=(0.42, 1.02),
        feet=[(0.12, 0.16 * side, 0.32) for side in (-1, 1)],
        head=Head((0.22, 0, 1.6), 0.155, helmet, helmet),
    )


def _riding(
    look: int,
    wheels: tuple[Wheel, ...],
    machine: list[Limb],
    hip: float,
    grip: tuple[float, float],
    feet: list[Point],
    head: Head,
) -> Build:
    """Somebody who sits at height ``hip`` on a machine and holds its grips (x, z)."""
    trousers, top = TROUSERS[look // 3 % len(TROUSERS)], TOPS[look // 5 % len(TOPS)]
    limbs = list(machine)
    for side, foot in zip((-1, 1), feet, strict=True):
        knee = (0.2 + 0.4 * (foot[0] - 0.05), 0.12 * side, 0.35 + 0.35 * hip)
        limbs += [Limb((-0.22, 0.0, hip), knee, 0.16, trousers), Limb(knee, foot, 0.13, trousers)]
        limbs.append(Limb((0.1, 0.2 * side, 1.36), (grip[0], 0.25 * side, grip[1]), 0.1, top))
    torso = ((-0.22, -0.12, hip), (-0.22, 0.12, hip), (0.12, 0.17, 1.4), (0.12, -0.17, 1.4))
    return Build(wheels, tuple(limbs), torso, top, head)
