"""What processes tell each other through Redis about a provider: calls made, pauses, open breakers.

One script answers all of it in one round trip, quickly or not at all (`apps.core.quick_redis`): while Redis is away
callers get None and go on with their own memory.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from dataclasses import dataclass
from typing import Any

from redis import Redis

from apps.core.http.plans import LANES, PAST_BREAKERS, Lane, Plan
from apps.core.quick_redis import QuickRedis, RedisAway, quick_redis

# KEYS: one sorted set per lane in the order of LANES, the pause, the breaker.
# ARGV: window in microseconds, limit, the asking lane (1-based), a unique member, then reserved slots per lane and,
# for each lane, 1 when the asking lane must leave its unused reserved slots alone: first while it is within its own
# reserve, then beyond it. The last one is 1 when an open breaker holds the asking lane back.
_TAKE = """
local count = #KEYS - 2
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local window = tonumber(ARGV[1])
local breaker = redis.call('PTTL', KEYS[count + 2])
if breaker < 0 or ARGV[#ARGV] == '0' then breaker = 0 end
local pause = redis.call('PTTL', KEYS[count + 1])
if pause > 0 then return {0, pause, breaker, 1} end
if breaker > 0 then return {0, breaker, breaker, 0} end
local lane = tonumber(ARGV[3])
local used, total, oldest = {}, 0, nil
for i = 1, count do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - window)
  used[i] = redis.call('ZCARD', KEYS[i])
  total = total + used[i]
  local first = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')
  if first[2] and (not oldest or tonumber(first[2]) < oldest) then oldest = tonumber(first[2]) end
end
local respected = 4 + count
if used[lane] >= tonumber(ARGV[4 + lane]) then respected = respected + count end
local kept = 0
for i = 1, count do
  if ARGV[respected + i] == '1' then
    kept = kept + math.max(0, tonumber(ARGV[4 + i]) - used[i])
  end
end
if total + kept >= tonumber(ARGV[2]) then
  return {0, math.ceil(((oldest or now) + window - now) / 1000), 0, 0}
end
redis.call('ZADD', KEYS[lane], now, ARGV[4])
redis.call('PEXPIRE', KEYS[lane], math.ceil(window / 1000) + 1000)
return {1, 0, 0, 0}
"""


@dataclass(frozen=True, slots=True)
class SharedAnswer:
    """`admitted`, or the seconds to wait: `paused` by a 429 anyone saw, or a breaker another process opened."""

    admitted: bool
    wait_seconds: float
    breaker_seconds: float
    paused: bool


class SharedState:
    """The Redis side of budgets and breakers; nothing here raises when Redis is away."""

    def __init__(self, redis: QuickRedis) -> None:
        self._redis = redis
        self._take = redis.script(_TAKE)
        self._calls = itertools.count()
        self._process = f"{os.getpid()}-{time.time_ns()}"

    def take(self, provider: str, operation: str, lane: Lane, plan: Plan) -> SharedAnswer | None:
        """Take one slot of the shared window; None while Redis is away."""
        within = plan.respected_by(lane, within_reserve=True)
        beyond = plan.respected_by(lane, within_reserve=False)
        arguments: list[Any] = [
            int(plan.window_seconds * 1_000_000),
            plan.limit,
            LANES.index(lane) + 1,
            f"{self._process}-{threading.get_ident()}-{next(self._calls)}",
            *(plan.reserved.get(each, 0) for each in LANES),
            *(int(each in within) for each in LANES),
            *(int(each in beyond) for each in LANES),
            int(lane not in PAST_BREAKERS),
        ]
        keys = [*(_key("calls", provider, each) for each in LANES), _pause(provider), _breaker(provider, operation)]
        try:
            admitted, wait_ms, breaker_ms, paused = self._redis.ask(
                lambda _: self._take(keys=keys, args=arguments), operation="budget"
            )
        except RedisAway:
            return None
        return SharedAnswer(bool(admitted), wait_ms / 1000, breaker_ms / 1000, bool(paused))

    def used(self, provider: str, plan: Plan) -> dict[Lane, int] | None:
        """Return the calls each lane made in the present window; None while Redis is away. Nothing is taken."""
        since = int((time.time() - plan.window_seconds) * 1_000_000)

        def count(client: Redis) -> list[int]:
            pipeline = client.pipeline(transaction=False)
            for lane in LANES:
                pipeline.zcount(_key("calls", provider, lane), since, "+inf")
            return list(pipeline.execute())

        try:
            counts = self._redis.ask(count, operation="budget")
        except RedisAway:
            return None
        return dict(zip(LANES, counts, strict=True))

    def hold(self, provider: str, seconds: float) -> None:
        """Tell the others that the provider answered 429."""
        self._set(_pause(provider), seconds)

    def open_breaker(self, provider: str, operation: str, seconds: float) -> None:
        """Tell the others that this operation keeps failing."""
        self._set(_breaker(provider, operation), seconds)

    def _set(self, key: str, seconds: float) -> None:
        milliseconds = max(int(seconds * 1000), 1)
        try:
            self._redis.ask(lambda client: client.set(key, 1, px=milliseconds), operation="budget")
        except RedisAway:
            return


def _key(*parts: str) -> str:
    return ":".join(("soldesk", "http", *parts))


def _pause(provider: str) -> str:
    return _key("pause", provider)


def _breaker(provider: str, operation: str) -> str:
    return _key("breaker", provider, operation)


def shared_state() -> SharedState | None:
    """Return the shared state, or None when no Redis is configured."""
    try:
        return SharedState(quick_redis())
    except RedisAway:
        return None
