"""The control interface of tests, under /__, on loopback only.

/__ctl injects faults, moves the clock, and changes limits, posts and subreddits. /__log is the log of requests.
/__truth is the ground truth.
"""

from collections.abc import Callable
from dataclasses import asdict
from ipaddress import ip_address
from random import Random
from typing import Any, get_args

import orjson
from aiohttp import web

from signalflow.errors import Invalid
from signalflow.simulator.answers import Answer, json_answer, not_found
from signalflow.simulator.changes import AccessChanged, Change, CommentDeleted, PostAdded, PostChanged
from signalflow.simulator.comments import comment_at, post_and_place
from signalflow.simulator.posts import GONE
from signalflow.simulator.simulator import Simulator
from signalflow.simulator.subreddits import Access, base36
from signalflow.simulator.truth import truth

MAX_ADDED = 1_000


class Control:
    """Answers the paths that begin with /__; other machines get 403."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._commands: dict[str, Callable[[dict[str, Any]], object]] = {
            "expire_tokens": lambda _: simulator.tokens.expire_all(),
            "delete": lambda body: self._delete(body["delete"]),
            "remove": lambda body: self._change_posts(body["remove"], body.get("category", "moderator")),
            "restore": lambda body: self._change_posts(body["restore"], "restored"),
            "edit": lambda body: self._change_posts(body["edit"], "edited"),
            "add": self._add_posts,
            "access": self._set_access,
            "limit": self._set_limits,
            "window": self._set_limits,
            "feed_limit": self._set_feed_limits,
            "personal_feed_limit": self._set_feed_limits,
            "used": lambda body: simulator.limiter.set_used(int(body["used"]), simulator.limits_now()),
            "bad_member": self._set_bad_member,
            "speed": self._move_clock,
            "jump": self._move_clock,
            "clear": lambda _: simulator.faults.clear(),
            "clear_log": lambda _: simulator.entries.clear(),
        }

    async def handle(self, path: str, request: web.Request) -> Answer:
        """The answer to a request for `path`, which begins with /__."""
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
            # A tool for tests: the sender of a wrong command is told what is wrong with it.
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
            "feed_limit": simulator.feed_limits.by_address.limit,
            "personal_feed_limit": simulator.feed_limits.personal.limit,
            "parameters": asdict(simulator.world.parameters),
        }

    def _do(self, body: dict[str, Any]) -> dict[str, Any]:
        """Add a fault, which has a path, or carry out commands."""
        if "path" in body:
            self._simulator.faults.add(body)
            return {"faults": len(self._simulator.faults)}
        commands = [name for name in self._commands if name in body]
        if not commands:
            raise Invalid(f"neither a fault, which has a path, nor one of {', '.join(self._commands)}")
        result: dict[str, Any] = {}
        for name in commands:
            details = self._commands[name](body)
            if isinstance(details, dict):
                result |= details
        return result | {"now": self._simulator.clock.now()}

    def _delete(self, name: object) -> None:
        """Delete now the posts and comments of a fullname, or of a list of fullnames."""
        names = [str(each) for each in (name if isinstance(name, list) else [name])]
        comments = [each for each in names if each.startswith("t1_")]
        self._change_posts([each for each in names if each not in comments], "deleted")
        now = self._simulator.clock.now()
        for each in comments:
            found = post_and_place(each.removeprefix("t1_"))
            post = found and self._simulator.world.post(found[0], now)
            if not found or not post or comment_at(post, found[1], now) is None:
                raise Invalid(f"there is no comment {each!r}")
            self._apply(CommentDeleted(post.number, found[1], now))

    def _change_posts(self, name: object, kind: str) -> None:
        """Delete, remove, restore or edit now the post of a fullname, or the posts of a list of fullnames."""
        if kind not in GONE and kind not in ("restored", "edited"):
            raise Invalid(f"{kind!r} is not among {', '.join(sorted(GONE))}", field="category")
        now = self._simulator.clock.now()
        for each in name if isinstance(name, list) else [name]:
            post = self._simulator.world.post(str(each).removeprefix("t3_"), now)
            if post is None:
                raise Invalid(f"there is no post {each!r}")
            self._apply(PostChanged(post.number, now, kind))

    def _add_posts(self, body: dict[str, Any]) -> dict[str, Any]:
        """Add k posts now with the given rise (points), tau (seconds), talk (comments), title and text of comments.

        Returns their ids.
        """
        k = int(body.get("k", 1))
        if not 1 <= k <= MAX_ADDED:
            raise Invalid(f"k must be from 1 to {MAX_ADDED}", field="k")
        world, at = self._simulator.world, self._simulator.clock.now()
        added = []
        for _ in range(k):
            number, at = world.free_number(at)
            change = PostAdded(
                number=number,
                subreddit=world.subreddit(str(body["add"])).name,
                created=at,
                rise=float(body.get("rise", 20.0)),
                tau=max(float(body.get("tau", 3_600.0)), 1.0),
                talk=float(body.get("talk", 5.0)),
                text_seed=Random(f"{world.parameters.seed}:{number}").getrandbits(48),
                title=body.get("title"),
                says=body.get("says"),
            )
            self._apply(change)
            added.append(base36(number))
        return {"added": added}

    def _set_access(self, body: dict[str, Any]) -> None:
        """Change who may read a subreddit from now on, as in {"access": {"python": "private"}}."""
        for name, access in body["access"].items():
            if access not in get_args(Access):
                raise Invalid(f"{access!r} is not among {', '.join(get_args(Access))}", field="access")
            self._apply(AccessChanged(self._simulator.world.subreddit(name).name, access))

    def _apply(self, change: Change) -> None:
        self._simulator.world.apply(change)
        self._simulator.store.append(change)

    def _set_limits(self, body: dict[str, Any]) -> None:
        limiter = self._simulator.limiter
        limit, window = int(body.get("limit", limiter.limit)), float(body.get("window", limiter.window))
        if limit < 1 or window <= 0:
            raise Invalid("limit and window must be positive")
        limiter.resize(limit, window)

    def _set_feed_limits(self, body: dict[str, Any]) -> None:
        limits = self._simulator.feed_limits
        for name, limiter in (("feed_limit", limits.by_address), ("personal_feed_limit", limits.personal)):
            limit = int(body.get(name, limiter.limit))
            if limit < 1:
                raise Invalid(f"{name} must be positive", field=name)
            limiter.resize(limit, limiter.window)

    def _set_bad_member(self, body: dict[str, Any]) -> None:
        if body["bad_member"] not in ("drop", "error"):
            raise Invalid("bad_member is drop or error", field="bad_member")
        self._simulator.pages.bad_member = body["bad_member"]

    def _move_clock(self, body: dict[str, Any]) -> None:
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
