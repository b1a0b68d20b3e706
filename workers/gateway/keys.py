"""What the handlers find in the application."""

from __future__ import annotations

from weakref import WeakSet

from aiohttp import web

from vision_stream.settings import Settings
from vision_stream.stores.open import Stores
from workers.gateway.access import Access
from workers.gateway.desk import Desk
from workers.gateway.health import Readiness
from workers.gateway.hub import Hub
from workers.gateway.roster import Roster

SETTINGS = web.AppKey("settings", Settings)
HUB = web.AppKey("hub", Hub)
DESK = web.AppKey("desk", Desk)  # only where cameras are started and stopped over the API
ROSTER = web.AppKey("roster", Roster)
STORES = web.AppKey("stores", Stores)
ACCESS = web.AppKey("access", Access)
READINESS = web.AppKey("readiness", Readiness)
SOCKETS = web.AppKey("sockets", WeakSet[web.WebSocketResponse])
BEHIND_S = web.AppKey("behind_s", float)
