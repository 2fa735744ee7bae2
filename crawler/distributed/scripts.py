"""What Redis does in one step: scripts, and the keys they work on.

Times are Redis's own, so that the clocks of machines need not agree. Each script is whole or not done at all.
"""

from __future__ import annotations

from typing import Final, NamedTuple

GROUP: Final = "workers"
"""The consumer group. Each worker is a consumer of it."""

FIELD: Final = b"e"
"""The one field of a stream entry: its envelope."""


class Keys(NamedTuple):
    """The keys of a list. Braces keep all of them on one node of a cluster.

    stream: what is not acknowledged. names: of every entry there ever was. state: a hash: `closed`, `workers`.
    workers: until when each is taken to be alive, in ms since 1970.
    """

    stream: str
    names: str
    state: str
    workers: str

    @classmethod
    def of(cls, name: str) -> Keys:
        base = f"apifetch:{{{name}}}"
        return cls(f"{base}:stream", f"{base}:names", f"{base}:state", f"{base}:workers")


HOST: Final = "apifetch:host:"
"""How the key begins of what is known of a host, by all workers of all lists of a database."""

ADD: Final = """
-- KEYS: stream names state. ARGV: field, then a name and an envelope for each entry. Gives how many were added.
local closed = redis.call('HGET', KEYS[3], 'closed')
local added = 0
for i = 2, #ARGV, 2 do
    if redis.call('SISMEMBER', KEYS[2], ARGV[i]) == 0 then
        if closed then return -1 end
        redis.call('XADD', KEYS[1], '*', ARGV[1], ARGV[i + 1])
        redis.call('SADD', KEYS[2], ARGV[i])
        added = added + 1
    end
end
return added
"""

ACKNOWLEDGE: Final = """
-- KEYS: stream. ARGV: group, then ids. What is left in the stream is what is not done.
for i = 2, #ARGV do
    redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
    redis.call('XDEL', KEYS[1], ARGV[i])
end
return #ARGV - 1
"""

BEAT: Final = """
-- KEYS: workers. ARGV: worker, lease in ms.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
return 1
"""

CLAIM: Final = """
-- KEYS: stream workers. ARGV: group, worker, how many at the most, 1 for those alone who have left on their own.
-- Gives entries of one of the dead; who has none left is forgotten.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local until_ms = ARGV[4] == '1' and '0' or string.format('%.0f', now)
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', until_ms)) do
    if dead ~= ARGV[2] then
        local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', ARGV[3], dead)
        if #pending > 0 then
            local ids = {}
            for i, each in ipairs(pending) do ids[i] = each[1] end
            return redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(ids))
        end
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], dead)
        redis.call('ZREM', KEYS[2], dead)
    end
end
return {}
"""

STANDING: Final = """
-- KEYS: stream state. ARGV: group, worker. Gives 1 if closed, entries left, and how many of them are this worker's.
local mine = 0
for _, each in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1])[4] or {}) do
    if each[1] == ARGV[2] then mine = tonumber(each[2]) end
end
return {redis.call('HEXISTS', KEYS[2], 'closed'), redis.call('XLEN', KEYS[1]), mine}
"""

LEAVE: Final = """
-- KEYS: stream workers. ARGV: group, worker. What it still holds is others' at once.
redis.call('ZADD', KEYS[2], 0, ARGV[2])
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) == 0 then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
    redis.call('ZREM', KEYS[2], ARGV[2])
end
return 1
"""

DRAW: Final = """
-- KEYS: stream state. ARGV: group, worker, how many at the most. As XREADGROUP, while all workers together hold no
-- more than the list's `workers`: what is pending is lent out, so the dead's part comes back with their entries.
local budget = tonumber(redis.call('HGET', KEYS[2], 'workers') or ARGV[3])
local free = budget - redis.call('XPENDING', KEYS[1], ARGV[1])[1]
local most = math.min(free, tonumber(ARGV[3]))
if most < 1 then return {} end
local found = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', most, 'STREAMS', KEYS[1], '>')
return found and found[1][2] or {}
"""

LOOK: Final = """
-- KEYS: host. Gives the time, in us since 1970, and the state; empty for none.
local time = redis.call('TIME')
return {time[1] .. string.format('%06d', time[2]), redis.call('GET', KEYS[1]) or ''}
"""

REPLACE: Final = """
-- KEYS: host. ARGV: the state as it was seen, the new one, seconds until it is forgotten. Gives what it is instead of
-- the first; nothing when it still was so, and is the second now.
local found = redis.call('GET', KEYS[1]) or ''
if found ~= ARGV[1] then return found end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return false
"""
