"""`signalflow alert`: the commands of rules, and of what they met."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from signalflow.cli.alert_access import RuleName, all_rules, json_of, one_line, rule_named, target_named, with_pool
from signalflow.cli.failures import WRONG_USE
from signalflow.cli.installation import acting_user
from signalflow.cli.options import JsonFlag, OfStack
from signalflow.cli.tables import print_whole, whole_table
from signalflow.clock import utcnow
from signalflow.domain.words import DeliveryState

if TYPE_CHECKING:
    from signalflow.storage.alert_history import AlertDelivery, AlertMatch
    from signalflow.storage.alert_preview import Preview
    from signalflow.storage.alert_rules import AlertRule
    from signalflow.storage.pool import Pool

QueryText = Annotated[str, typer.Argument(metavar="QUERY", help="Such as '\"rocket engine\" subreddit:space'.")]
TargetNames = Annotated[
    list[str] | None,
    typer.Option("--target", metavar="TARGET", help="Who is told: id or name; may be given several times."),
]
SHOWN_MATCHES = 10


def register(group: typer.Typer) -> None:
    """Add the commands to the group."""
    for command in (rules, add, show, pause, resume, remove, preview, history, redeliver):
        group.command()(command)


def rules(_: OfStack = None, as_json: JsonFlag = False) -> None:
    """Show all rules, the newest first. Exit status 3 when the database could not be asked."""
    found = with_pool(all_rules)
    if as_json:
        print(json_of(found))
        return
    from rich.markup import escape

    table = whole_table("id", "name", "query", "targets", "last met", "")
    for rule in found:
        state = "paused" if rule.paused_at else ""
        targets = str(len(rule.target_ids))
        table.add_row(
            str(rule.id), escape(rule.name), escape(one_line(rule.query)), targets, _moment(rule.last_match_at), state
        )
    print_whole(table if found else "no rules")


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="For people.")],
    query: QueryText,
    targets: TargetNames = None,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a rule. What meets it already is not told.

    Exit status: 1 a target is unknown or there are too many rules, 2 the query is wrong, 3 the database could not be
    asked.
    """
    from signalflow.storage.alert_rules import add_rule

    async def work(pool: "Pool") -> "AlertRule":
        ids = [(await target_named(pool, target)).id for target in targets or ()]
        return await add_rule(pool, name, query, ids, by=acting_user())

    with _wrong_query_is_wrong_use():
        rule = with_pool(work)
    number = len(rule.target_ids)
    print(json_of(rule) if as_json else f"rule {rule.id} tells {number} {'target' if number == 1 else 'targets'}")


def show(rule: RuleName, _: OfStack = None, as_json: JsonFlag = False) -> None:
    """Show a rule, its targets and what it met last.

    Exit status: 1 there is none, 3 the database could not be asked.
    """
    from signalflow.storage.alert_history import matches_page
    from signalflow.storage.alert_targets import list_targets
    from signalflow.storage.read_router import ReadRouter

    async def work(pool: "Pool") -> "tuple[AlertRule, list[str], list[AlertMatch]]":
        found = await rule_named(pool, rule)
        targets = [target.name for target in await list_targets(pool) if target.id in found.target_ids]
        reads = ReadRouter(pool, None, 0.0)
        return found, targets, await matches_page(reads, rule_id=found.id, before=None, limit=SHOWN_MATCHES)

    found, targets, matches = with_pool(work)
    if as_json:
        print(json_of(asdict(found) | {"targets": targets, "matches": [asdict(match) for match in matches]}))
        return
    state = f"paused since {_moment(found.paused_at)}" if found.paused_at else "on"
    print(f"{one_line(found.name)} ({found.id}), {state}, made by {found.created_by}")
    print(f"query:    {one_line(found.query)}")
    print(f"targets:  {', '.join(map(one_line, targets)) or 'none'}")
    print(f"last met: {_moment(found.last_match_at)}")
    for match in matches:
        print(f"  {_moment(match.matched_at)}  {_subject(match)}")


def pause(rule: RuleName, _: OfStack = None, as_json: JsonFlag = False) -> None:
    """Let a rule tell nothing for now. Exit status: 1 there is none, 3 the database could not be asked."""
    _set_paused(rule, True, as_json)


def resume(rule: RuleName, _: OfStack = None, as_json: JsonFlag = False) -> None:
    """Let a paused rule go on. What met it meanwhile is not told.

    Exit status: 1 there is none, 3 the database could not be asked.
    """
    _set_paused(rule, False, as_json)


def remove(rule: RuleName, _: OfStack = None, as_json: JsonFlag = False) -> None:
    """Remove a rule, with its history. Exit status: 1 there is none, 3 the database could not be asked."""
    from signalflow.storage.alert_rules import remove_rule

    async def work(pool: "Pool") -> "AlertRule":
        found = await rule_named(pool, rule)
        await remove_rule(pool, found.id, by=acting_user())
        return found

    removed = with_pool(work)
    print(json_of({"removed": removed.id}) if as_json else f"removed {one_line(removed.name)}")


def preview(query: QueryText, _: OfStack = None, as_json: JsonFlag = False) -> None:
    """Show what of the last week meets a query. Exit status: 2 the query is wrong, 3 the database could not tell."""
    from signalflow.storage.alert_preview import preview as preview_of
    from signalflow.storage.read_router import ReadRouter

    with _wrong_query_is_wrong_use():
        found = with_pool(lambda pool: preview_of(ReadRouter(pool, None, 0.0), query, utcnow()))
    if as_json:
        print(json_of(found))
        return
    print(f"{_counted(found)} in the last week")
    for one in found.newest:
        print(f"  {_moment(one.created_at)}  {one.kind} {one.id} in r/{one.subreddit}: {one_line(one.text or '')}")


def history(
    rule: Annotated[str | None, typer.Option("--rule", metavar="RULE", help="Only of this rule: id or name.")] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="TARGET", help="Only to this target: id or name.")
    ] = None,
    state: Annotated[DeliveryState | None, typer.Option(help="Only deliveries in this state.")] = None,
    most: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 50,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Show messages that were sent or wait, the newest first. --json has each try with its answer.

    Exit status: 1 rule or target is unknown, 3 the database could not be asked.
    """
    from signalflow.storage.alert_history import DeliveryFilter, deliveries_page
    from signalflow.storage.read_router import ReadRouter

    async def work(pool: "Pool") -> "list[AlertDelivery]":
        rule_id = None if rule is None else (await rule_named(pool, rule)).id
        target_id = None if target is None else (await target_named(pool, target)).id
        wanted = DeliveryFilter(None, rule_id, target_id, state)
        return await deliveries_page(ReadRouter(pool, None, 0.0), wanted, before=None, limit=most)

    found = with_pool(work)
    if as_json:
        print(json_of(found))
        return
    from rich.markup import escape

    table = whole_table("id", "ready", "rule", "target", "about", "state", "last try")
    for one in found:
        last = one.attempts[-1] if one.attempts else None
        tried = f"{last.status or 'no answer'} {one_line(last.reason)}" if last else "-"
        names = (escape(one_line(name)) for name in (one.rule, one.target, _subject(one)))
        table.add_row(str(one.id), _moment(one.first_at), *names, one.state, escape(tried))
    print_whole(table if found else "no deliveries")


def redeliver(
    delivery: Annotated[UUID, typer.Argument(metavar="ID", help="Id of the delivery, as history shows it.")],
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Send a message again, under the same id. Exit status: 1 it cannot be, 3 the database could not be asked."""
    from signalflow.errors import Invalid
    from signalflow.storage.alert_history import redeliver as send_again

    async def work(pool: "Pool") -> None:
        if not await send_again(pool, delivery, by=acting_user()):
            raise Invalid(f"there is no delivery {delivery}: `signalflow alert history` lists them")

    with_pool(work)
    print(json_of({"waiting": delivery}) if as_json else f"{delivery} waits again")


def _set_paused(name: str, paused: bool, as_json: bool) -> None:
    from signalflow.storage.alert_rules import RuleChange, change_rule

    async def work(pool: "Pool") -> "AlertRule":
        found = await rule_named(pool, name)
        return await change_rule(pool, found.id, RuleChange(paused=paused), by=acting_user()) or found

    rule = with_pool(work)
    print(json_of(rule) if as_json else f"{one_line(rule.name)} {'is paused' if paused else 'goes on'}")


@contextmanager
def _wrong_query_is_wrong_use() -> Iterator[None]:
    """Show a wrong query with a caret below the place, and end with the status of wrong use."""
    from signalflow.domain.queries.language import QueryError

    try:
        yield
    except QueryError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(WRONG_USE) from error


def _counted(found: "Preview") -> str:
    posts = f"{'more than ' if found.more_posts else ''}{found.posts:,} post{'' if found.posts == 1 else 's'}"
    comments = f"{'more than ' if found.more_comments else ''}{found.comments:,}"
    return f"{posts} and {comments} comment{'' if found.comments == 1 else 's'}"


def _subject(one: "AlertMatch | AlertDelivery") -> str:
    return one_line(f"{one.kind} {one.subject}: {one.alert['title'] or one.alert['sentence']}")


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "never"
