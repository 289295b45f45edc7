"""Brokers that die: two of three, then all."""

import asyncio

from tests.chaos.faults.base import Fault, Run

DOWN_SECONDS = 3.0


async def one_then_another(run: Run) -> None:
    """One broker dies, then another. With one of three left, nothing can be written. Both come back."""
    async with run.gate.together():
        kafka = run.cluster.kafka
        first, second = run.rnd.sample(list(kafka.nodes), 2)
        async with run.injecting("one broker, then another", detail=f"{first}, {second}") as injection:
            await run.cluster.kill_broker(first)
            await asyncio.sleep(DOWN_SECONDS)
            await run.cluster.kill_broker(second)
            await asyncio.sleep(DOWN_SECONDS)
            await run.cluster.restart_brokers(first, second)
        await run.recovered(injection)


async def all_three(run: Run) -> None:
    """All brokers die at once, and start again."""
    async with run.gate.together():
        kafka = run.cluster.kafka
        async with run.injecting("all three brokers") as injection:
            for node in kafka.nodes:
                await run.cluster.kill_broker(node)
            await run.cluster.restart_brokers(*kafka.nodes)
        await run.recovered(injection)


FAULTS = (
    Fault("one broker, then another", "servers", 4, one_then_another),
    Fault("all three brokers", "servers", 4, all_three, in_short_form=False),
)
