"""The claim of an attempt: one object in the bucket, by which one run at a time works on it.

Taken by a PUT that only succeeds where nothing is, renewed and taken over by one that only succeeds
on the very object that was seen. How old a claim is, the bucket's clock alone says. A run whose
claim could not be renewed for the length of the lease stops before anybody may take it over: it
counts from before its last renewal was sent, and the others from when that was stored.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from uuid import uuid4

from gpu_worker.bucket import STORAGE_ERRORS, unavailable
from gpu_worker.claim_objects import UNCLAIMED, ClaimObjects, FoundClaim, If
from gpu_worker.contract import Claim, claim_key
from gpu_worker.errors import Superseded
from gpu_worker.manifest import Identity

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

CLAIM_LEASE_S = 60.0
CLAIM_RENEWAL_S = 15.0
TAKE_TRIES = 4

logger = logging.getLogger(__name__)
Made = TypeVar("Made")


class Times(NamedTuple):
    """How long what about a claim may take, in seconds."""

    lease_s: float = CLAIM_LEASE_S
    renewal_s: float = CLAIM_RENEWAL_S
    retry_s: float = 3.0
    """From a renewal that was not answered to the next try."""
    call_s: float = 10.0
    """For one renewal."""
    take_s: float = 60.0
    release_s: float = 5.0


TIMES = Times()


class AttemptClaim:
    """One run's hold on its attempt: `take` it, work under `hold`, `release` it if that fails.

    After work that was done it stays, and names who did it.
    """

    def __init__(
        self, client: "S3Client", bucket: str, identity: Identity, times: Times = TIMES
    ) -> None:
        job = identity.job
        self._objects = ClaimObjects(client, bucket, job.creator_id, job.media_id)
        self._key = claim_key(job.creator_id, job.media_id, job.attempt)
        self._times = times
        self._etag = ""
        self._until = 0.0
        self._claim = Claim(
            media_id=job.media_id,
            attempt=job.attempt,
            attempt_id=job.attempt_id,
            job_id=identity.job_id,
            worker=identity.worker,
            holder=uuid4(),
        )

    async def take(self) -> None:
        """Take the attempt. Raises :class:`Superseded` or `storage_unavailable`."""
        try:
            async with asyncio.timeout(self._times.take_s):
                started = time.monotonic()
                await self._take()
                await self._yield_to_newer()
        except STORAGE_ERRORS as error:
            raise unavailable(error) from error
        self._until = started + self._times.lease_s

    async def hold(self, work: Coroutine[Any, Any, Made]) -> Made:
        """What `work` makes, the claim being renewed meanwhile.

        When the claim is lost, `work` is cancelled and has ended before this raises
        :class:`Superseded`, or `storage_unavailable` if the bucket was silent for a whole lease.
        """
        working, keeping = asyncio.create_task(work), asyncio.create_task(self._keep())
        try:
            await asyncio.wait((working, keeping), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                await keeping
            return await working
        finally:
            working.cancel()
            keeping.cancel()
            await asyncio.gather(working, keeping, return_exceptions=True)

    def check(self) -> None:
        """Called before every write: `storage_unavailable` once the lease has run out."""
        if self._left_s() <= 0:
            raise unavailable(TimeoutError("the claim could not be renewed in time"))

    async def wait_for_older(self) -> None:
        """Return once no run of an older attempt can write any more.

        It sees our claim at its next renewal; until then it writes to the same keys. Raises
        `storage_unavailable`, also if one goes on and on.
        """
        try:
            async with asyncio.timeout(2 * self._times.lease_s + self._times.call_s):
                while await self._older_is_live():  # noqa: ASYNC110 - it happens elsewhere
                    await asyncio.sleep(self._times.retry_s)
        except STORAGE_ERRORS as error:
            raise unavailable(error) from error

    async def release(self) -> str | None:
        """Let the next run take the attempt at once; the job that has it already, if one does.

        Bounded by `release_s`. When the bucket does not answer, the lease runs out by itself.
        """
        try:
            async with asyncio.timeout(self._times.release_s):
                return await self._free()
        except STORAGE_ERRORS as error:
            logger.warning("the claim %s was not released: %s", self._key, type(error).__name__)
        return None

    async def _free(self) -> str | None:
        freed = self._claim.model_copy(update={"released": True})
        while self._etag:
            if await self._put(freed, {"IfMatch": self._etag}):
                break
            found = await self._objects.read(self._claim.attempt)
            if found is None or found.claim is None:
                break
            if not self._is_mine(found.claim):
                return found.claim.job_id
            self._etag = found.etag  # a renewal was stored, and cancelled before its answer came
        return None

    async def _take(self) -> None:
        condition: If = UNCLAIMED
        for _ in range(TAKE_TRIES):
            if await self._put(self._claim, condition):
                return
            found = await self._objects.read(self._claim.attempt)
            condition = UNCLAIMED if found is None else {"IfMatch": found.etag}
            if found is None or found.claim is None:
                continue
            if self._is_mine(found.claim):  # stored, but the answer was lost
                self._etag = found.etag
                return
            if self._is_live(found):
                raise Superseded(found.claim.job_id)
        raise TimeoutError(f"{self._key} changed all the time")

    async def _keep(self) -> None:
        """Renew until cancelled; raises what ends the claim."""
        delay_s = self._times.renewal_s
        while True:
            await asyncio.sleep(min(delay_s, self._left_s()))
            self.check()
            try:
                async with asyncio.timeout(min(self._times.call_s, self._left_s())):
                    await self._renew()
            except STORAGE_ERRORS as error:
                logger.warning("the claim %s was not renewed: %s", self._key, type(error).__name__)
                delay_s = self._times.retry_s
            else:
                delay_s = self._times.renewal_s

    async def _renew(self) -> None:
        started = time.monotonic()
        renewed = self._claim.model_copy(update={"renewals": self._claim.renewals + 1})
        if not await self._put(renewed, {"IfMatch": self._etag}):
            await self._look_again()
        self._claim = renewed
        await self._yield_to_newer()
        self._until = started + self._times.lease_s

    async def _look_again(self) -> None:
        """After a refused renewal: who has the claim? If it is gone, it is taken anew."""
        found = await self._objects.read(self._claim.attempt)
        if found is None:
            if await self._put(self._claim, UNCLAIMED):
                return
        elif found.claim is not None and not self._is_mine(found.claim):
            raise Superseded(found.claim.job_id)
        else:
            self._etag = found.etag
        raise TimeoutError(f"{self._key} is to be renewed again")

    async def _yield_to_newer(self) -> None:
        async for found in self._objects.of(lambda attempt: attempt > self._claim.attempt):
            if found.claim is not None:
                raise Superseded(found.claim.job_id)

    async def _older_is_live(self) -> bool:
        async for found in self._objects.of(lambda attempt: attempt < self._claim.attempt):
            if self._is_live(found):
                return True
        return False

    def _is_mine(self, claim: Claim) -> bool:
        return claim.holder == self._claim.holder

    def _is_live(self, found: FoundClaim) -> bool:
        """Headers tell whole seconds, so that an age may be less than it looks, by up to one."""
        claim = found.claim
        return claim is not None and not claim.released and found.age_s <= self._times.lease_s

    def _left_s(self) -> float:
        return max(0.0, self._until - time.monotonic())

    async def _put(self, claim: Claim, condition: If) -> bool:
        """Whether the bucket took `claim`; its condition did not hold otherwise."""
        etag = await self._objects.put(claim, condition)
        self._etag = etag or self._etag
        return etag is not None
