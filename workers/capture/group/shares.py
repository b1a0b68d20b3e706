"""Which member of a group watches which camera: each camera one, evenly, and as few as can be change hands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct


class Claim(Struct, frozen=True):
    """What a member watches, and since which round of sharing. One who was away a while claims an older round."""

    round: int = 0
    cameras: tuple[str, ...] = ()


def share_out(cameras: Iterable[str], claims: Mapping[str, Claim]) -> dict[str, tuple[str, ...]]:
    """Each camera to exactly one member; the members' numbers of cameras differ by one at most.

    A camera stays where it is watched, unless there are too many. Of two who claim it, the later round has it.

    Args:
        cameras: all that should be watched.
        claims: by member, of whom there is at least one.

    >>> share_out(["a", "b", "c"], {"x": Claim(1, ("a", "b", "c")), "y": Claim()})
    {'x': ('a', 'b'), 'y': ('c',)}
    """
    kept = _kept(set(cameras), claims)
    count = sum(map(len, kept.values()))
    free = sorted(set(cameras).difference(*kept.values()))
    each, more = divmod(count + len(free), len(claims))
    by_load = sorted(claims, key=lambda member: (-len(kept[member]), member))
    quotas = {member: each + (place < more) for place, member in enumerate(by_load)}
    for member in by_load:
        free += kept[member][quotas[member] :]
    shares: dict[str, tuple[str, ...]] = {}
    for member, quota in quotas.items():
        stay = kept[member][:quota]
        wanted = quota - len(stay)
        shares[member] = tuple(sorted([*stay, *free[:wanted]]))
        free = free[wanted:]
    return shares


def _kept(cameras: set[str], claims: Mapping[str, Claim]) -> dict[str, list[str]]:
    """By member: what it claims, where nobody has the better claim, in an order that is always the same."""
    best: dict[str, tuple[int, str]] = {}
    for member, claim in claims.items():
        for camera in cameras.intersection(claim.cameras):
            best[camera] = max(best.get(camera, (-1, "")), (claim.round, member))
    kept: dict[str, list[str]] = {member: [] for member in claims}
    for camera in sorted(best):
        kept[best[camera][1]].append(camera)
    return kept
