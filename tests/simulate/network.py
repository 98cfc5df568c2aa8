"""The way to the API: requests and answers get lost, late or doubled."""

import asyncio
import json
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.simulate.processes import now_s
from tests.simulate.service import Answer, Handler, Replica, native_webhook, worker_webhook

if TYPE_CHECKING:
    from tests.simulate.world import World


@dataclass(slots=True)
class Network:
    """Calls to the API, by way of a load balancer that knows who is alive."""

    world: "World"
    lost_request: float = 0.0
    lost_answer: float = 0.0
    doubled: float = 0.0
    delayed: float = 0.0
    no_webhooks: bool = False

    async def post(self, kind: str, key: Any, body: bytes, patience_s: float) -> Answer | None:
        """A webhook: `worker` with its headers, or `native` with its token."""
        edge = worker_webhook if kind == "worker" else native_webhook

        if self.no_webhooks:
            await asyncio.sleep(patience_s)
            return None

        async def deliver(services: Any, host: Any) -> Any:
            told = json.loads(body)
            self.world.watch.arrived(told.get("jobId" if kind == "worker" else "id"))
            return await edge(services, host, key, body)

        answer = await self.ask(f"{kind} webhook", deliver, patience_s)
        self.world.watch.posted(kind, key, body, answer)
        return answer

    async def ask(self, what: str, handler: Handler, patience_s: float = 30.0) -> Answer | None:
        """The API's answer, or None when none comes within `patience_s`."""
        chance, world = self.world.chance, self.world
        if chance.happens(self.lost_request):
            world.count("network: request lost")
            await asyncio.sleep(patience_s)
            return None
        answered: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        if chance.happens(self.doubled):
            world.count("network: request doubled")
            nobody: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
            world.outside.start(self._deliver(what, handler, nobody))
        world.outside.start(self._deliver(what, handler, answered))
        done, _ = await asyncio.wait((answered,), timeout=patience_s)
        if not done:
            world.count("network: no answer in time")
            return None
        if chance.happens(self.lost_answer):
            world.count("network: answer lost")
            return None
        return answered.result()

    async def _deliver(
        self, what: str, handler: Handler, answered: "asyncio.Future[Answer | None]"
    ) -> None:
        chance = self.world.chance
        late = chance.happens(self.delayed)
        await asyncio.sleep(chance.uniform(1, 60) if late else chance.uniform(0.005, 0.1))
        serving = [one for one in self.world.replicas if one.serves and not one.life.over]
        if not serving:
            self.world.count("network: no replica")
            _resolve(answered, None)
            return
        replica = chance.choice(serving)
        task = replica.life.start(self._serve(what, replica, handler))
        task.add_done_callback(partial(_hand_over, answered))

    async def _serve(self, what: str, replica: Replica, handler: Handler) -> Answer:
        answer = replace(await replica.answer(handler), at_s=now_s())
        said = answer.said if isinstance(answer.said, str) else ""
        self.world.note("http", f"{what} at {replica.host.name}: {answer.status} {said}")
        return answer


def _hand_over(answered: "asyncio.Future[Answer | None]", task: "asyncio.Task[Answer]") -> None:
    _resolve(answered, None if task.cancelled() else task.result())


def _resolve(answered: "asyncio.Future[Answer | None]", answer: Answer | None) -> None:
    if not answered.done():
        answered.set_result(answer)
