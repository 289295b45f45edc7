"""The control interface under /__: faults, time, limits, things that happen to posts; the log and the truth. Loopback only."""

from collections.abc import Callable
from dataclasses import asdict
from ipaddress import ip_address
from random import Random
from typing import TYPE_CHECKING, Any, get_args

import orjson
from aiohttp import web

from signalflow.errors import Invalid
from signalflow.simulator.answers import Answer, json_answer, not_found
from signalflow.simulator.changes import AccessChanged, Added, Change, Happened
from signalflow.simulator.posts import GONE
from signalflow.simulator.subreddits import Access, base36
from signalflow.simulator.truth import truth

if TYPE_CHECKING:
    from signalflow.simulator.server import Simulator

MAX_ADDED = 1_000


class Control:
    """Paths that begin with /__; answers 403 to other machines."""

    def __init__(self, simulator: "Simulator") -> None:
        self._simulator = simulator
        self._commands: dict[str, Callable[[dict[str, Any]], object]] = {
            "expire_tokens": lambda _: simulator.tokens.expire_all(),
            "delete": lambda body: self._happen(body["delete"], "deleted"),
            "remove": lambda body: self._happen(body["remove"], body.get("category", "moderator")),
            "restore": lambda body: self._happen(body["restore"], "restored"),
            "edit": lambda body: self._happen(body["edit"], "edited"),
            "add": self._add,
            "access": self._access,
            "limit": self._limits,
            "window": self._limits,
            "used": lambda body: simulator.limiter.set_used(int(body["used"]), simulator.limits_now()),
            "bad_member": self._bad_member,
            "speed": self._clock,
            "jump": self._clock,
            "clear": lambda _: simulator.faults.clear(),
            "clear_log": lambda _: simulator.entries.clear(),
        }

    async def handle(self, path: str, request: web.Request) -> Answer:
        """Every request under /__."""
        if request.remote is None or not ip_address(request.remote).is_loopback:
            return json_answer({"error": "loopback only"}, 403)
        try:
            match request.method, path:
                case "GET", "/__ctl":
                    return json_answer(self._status())
                case "POST", "/__ctl":
                    return json_answer({"ok": True} | self._do(orjson.loads(await request.read())))
                case "GET", "/__log":
                    return json_answer(self._log(request.query.get("since"), request.query.get("path", "")))
                case "GET", "/__truth":
                    simulator = self._simulator
                    return json_answer(truth(simulator.world, simulator.texts, request.query, simulator.clock.now()))
        except (Invalid, orjson.JSONDecodeError, TypeError, ValueError, KeyError) as error:
            # A tool for tests: whatever is wrong with a command is told to who sent it.
            return json_answer({"error": f"{type(error).__name__}: {error}"}, 400)
        return not_found()

    def _status(self) -> dict[str, Any]:
        simulator = self._simulator
        return {
            "now": simulator.clock.now(),
            "real": simulator.clock.real(),
            "speed": simulator.clock.anchor.speed,
            "requests": simulator.requests,
            "faults": len(simulator.faults),
            "limit": simulator.limiter.limit,
            "window": simulator.limiter.window,
            "parameters": asdict(simulator.world.parameters),
        }

    def _do(self, body: dict[str, Any]) -> dict[str, Any]:
        """A fault (it has a path) or commands."""
        if "path" in body:
            self._simulator.faults.add(body)
            return {"faults": len(self._simulator.faults)}
        commands = [name for name in self._commands if name in body]
        if not commands:
            raise Invalid(f"no path of a fault and none of {', '.join(self._commands)}")
        result: dict[str, Any] = {}
        for name in commands:
            told = self._commands[name](body)
            if isinstance(told, dict):
                result |= told
        return result | {"now": self._simulator.clock.now()}

    def _happen(self, name: object, kind: str) -> None:
        """Something happens now to the post or posts of a fullname or a list of them."""
        if kind not in GONE and kind not in ("restored", "edited"):
            raise Invalid(f"{kind!r} is not among {', '.join(sorted(GONE))}", field="category")
        now = self._simulator.clock.now()
        for each in name if isinstance(name, list) else [name]:
            post = self._simulator.world.post(str(each).removeprefix("t3_"), now)
            if post is None:
                raise Invalid(f"there is no post {each!r}")
            self._apply(Happened(post.number, now, kind))

    def _add(self, body: dict[str, Any]) -> dict[str, Any]:
        """k posts now, their ids in the answer; rise (points), tau (seconds), talk (comments) and title as wanted."""
        k = int(body.get("k", 1))
        if not 1 <= k <= MAX_ADDED:
            raise Invalid(f"k must be from 1 to {MAX_ADDED}", field="k")
        world, at = self._simulator.world, self._simulator.clock.now()
        added = []
        for _ in range(k):
            number, at = world.free_number(at)
            change = Added(
                number=number,
                subreddit=world.subreddit(str(body["add"])).name,
                created=at,
                rise=float(body.get("rise", 20.0)),
                tau=max(float(body.get("tau", 3_600.0)), 1.0),
                talk=float(body.get("talk", 5.0)),
                text_seed=Random(f"{world.parameters.seed}:{number}").getrandbits(48),
                title=body.get("title"),
            )
            self._apply(change)
            added.append(base36(number))
        return {"added": added}

    def _access(self, body: dict[str, Any]) -> None:
        """{"access": {"python": "private"}}: who may read a subreddit from now on."""
        for name, access in body["access"].items():
            if access not in get_args(Access):
                raise Invalid(f"{access!r} is not among {', '.join(get_args(Access))}", field="access")
            self._apply(AccessChanged(self._simulator.world.subreddit(name).name, access))

    def _apply(self, change: Change) -> None:
        self._simulator.world.apply(change)
        self._simulator.store.append(change)

    def _limits(self, body: dict[str, Any]) -> None:
        limiter = self._simulator.limiter
        limit, window = int(body.get("limit", limiter.limit)), float(body.get("window", limiter.window))
        if limit < 1 or window <= 0:
            raise Invalid("limit and window must be positive")
        limiter.resize(limit, window)

    def _bad_member(self, body: dict[str, Any]) -> None:
        if body["bad_member"] not in ("drop", "error"):
            raise Invalid("bad_member is drop or error", field="bad_member")
        self._simulator.api.bad_member = body["bad_member"]

    def _clock(self, body: dict[str, Any]) -> None:
        clock = self._simulator.clock
        if "speed" in body:
            clock.set_speed(float(body["speed"]))
        if "jump" in body:
            clock.jump(float(body["jump"]))
        self._simulator.store.save(self._simulator.world.parameters, clock)

    def _log(self, since: str | None, path: str) -> dict[str, Any]:
        first = float(since) if since else 0.0
        entries = self._simulator.entries
        return {"requests": [asdict(e) for e in entries if e.real >= first and e.path.startswith(path)]}
