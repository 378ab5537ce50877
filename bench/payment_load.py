"""Callbacks as M-Pesa sends them: so many a second however slow the answers, or as fast as they are answered."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.payment_books import Prompt
from tests.fakes.daraja_post import NotDelivered, Poster

ANSWERED_WITHIN_S = 30.0


@dataclass
class Sent:
    """`latencies_s`: from when a callback was due to its answer."""

    latencies_s: list[float] = field(default_factory=list)
    refused: int = 0
    began: float = 0.0
    """By time.monotonic."""
    lasted_s: float = 0.0


async def at_rate(
    url: str, prompts: Sequence[Prompt], per_s: float, on_sent: Callable[[Prompt, float], None] = lambda *_: None
) -> Sent:
    """`on_sent` is called with each prompt and the moment at which its callback was due."""
    sent, poster = Sent(began=time.monotonic()), Poster()

    async def post(prompt: Prompt, due: float) -> None:
        on_sent(prompt, due)
        await _post(poster, url, prompt, due, sent)

    tasks = []
    for number, prompt in enumerate(prompts):
        due = sent.began + number / per_s
        while (early_s := due - time.monotonic()) > 0:
            await asyncio.sleep(early_s)
        tasks.append(asyncio.create_task(post(prompt, due)))
    await asyncio.gather(*tasks)
    sent.lasted_s = time.monotonic() - sent.began
    await poster.close()
    return sent


async def at_once(url: str, prompts: Sequence[Prompt], outstanding: int) -> Sent:
    """The next as soon as one is answered."""
    sent, poster, waiting = Sent(began=time.monotonic()), Poster(), list(prompts)[::-1]

    async def go_on() -> None:
        while waiting:
            await _post(poster, url, waiting.pop(), time.monotonic(), sent)

    await asyncio.gather(*(go_on() for _ in range(outstanding)))
    sent.lasted_s = time.monotonic() - sent.began
    await poster.close()
    return sent


async def _post(poster: Poster, url: str, prompt: Prompt, due: float, sent: Sent) -> None:
    try:
        answer = await poster.post(url + prompt.path, prompt.body, ANSWERED_WITHIN_S)
    except NotDelivered:
        sent.refused += 1
        return
    if answer.status == 200:
        sent.latencies_s.append(time.monotonic() - due)
    else:
        sent.refused += 1
