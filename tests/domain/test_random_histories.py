"""Any commands in any order: what holds of every item, whatever is asked of it."""

import asyncio
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from domain.commands import Command
from domain.errors import AccessDenied, InvalidTransition
from domain.events import Erased, StoredEvent
from domain.failure import ErrorCode
from domain.handler import handle
from domain.lifecycle import INITIAL, Status, next_status
from domain.media import MediaItem, fold
from domain.read_model import project_history
from tests import factories as f
from tests.fakes import MemoryDatabase, MemoryEventStore

MOST_BEFORE_THE_END = 5
"""Changes of an item that may be erased: most histories would be short else."""
ATTEMPTS = st.integers(1, 3)
COMMANDS: st.SearchStrategy[Command] = st.one_of(
    st.builds(f.register_media),
    st.builds(f.complete_upload, st.sampled_from([f.ETAG, '"other"'])),
    st.builds(
        f.expire_upload, st.sampled_from([f.UPLOAD_DEADLINE - timedelta(1), f.UPLOAD_DEADLINE])
    ),
    ATTEMPTS.flatmap(
        lambda attempt: st.builds(
            f.record_submission,
            st.just(attempt),
            st.integers(1, 3).map(lambda number: f.job_id(attempt, number)),
        )
    ),
    st.builds(f.record_start, ATTEMPTS),
    st.builds(f.record_completion, ATTEMPTS),
    st.builds(f.record_failure, ATTEMPTS, st.sampled_from(ErrorCode)),
    st.builds(f.retry_transcoding, ATTEMPTS),
)


class Item(RuleBasedStateMachine):
    """One item under random commands, each of which may come again at any later time.

    F06: a repeated one changes nothing. F07: none moves a final state. F19: no retry while a job
    runs begins an attempt.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.database = MemoryDatabase()
        self.store = MemoryEventStore(self.database)
        self.applied: list[Command] = []

    def teardown(self) -> None:
        self.loop.close()

    def deliver(self, command: Command) -> bool:
        """Whether `command` changed anything; a refused one must not have."""
        before = len(self.history())
        try:
            self.loop.run(handle(self.store, f.MEDIA_ID, command, f.context()))
        except (AccessDenied, InvalidTransition):
            assert len(self.history()) == before
        return len(self.history()) > before

    def history(self) -> list[StoredEvent]:
        return self.database.streams.get(f.MEDIA_ID, [])

    def item(self) -> MediaItem | None:
        return fold(stored.event for stored in self.history())

    def attempt(self) -> int:
        item = self.item()
        return max(1, item.attempt if item else 0)

    @rule(command=COMMANDS)
    def a_command_comes_twice(self, command: Command) -> None:
        if self.deliver(command):
            self.applied.append(command)
        assert not self.deliver(command)

    @rule(number=st.integers(1, 3))
    def the_present_attempt_gets_a_job(self, number: int) -> None:
        attempt = self.attempt()
        self.a_command_comes_twice(f.record_submission(attempt, f.job_id(attempt, number)))

    @rule()
    def the_present_attempt_fails_and_is_retried(self) -> None:
        self.a_command_comes_twice(f.record_failure(self.attempt()))
        self.a_command_comes_twice(f.retry_transcoding(self.attempt()))

    @precondition(lambda self: len(self.applied) > MOST_BEFORE_THE_END)
    @rule()
    def the_item_is_erased(self) -> None:
        self.a_command_comes_twice(f.erase_media())

    @initialize(began=st.booleans())
    def the_way_to_the_first_attempt_may_be_short(self, began: bool) -> None:
        if began:
            self.a_command_comes_twice(f.register_media())
            self.a_command_comes_twice(f.complete_upload())

    @precondition(lambda self: self.applied)
    @rule(data=st.data())
    def a_command_comes_again_much_later(self, data: st.DataObject) -> None:
        assert not self.deliver(data.draw(st.sampled_from(self.applied)))

    @invariant()
    def the_path_is_in_the_table(self) -> None:
        status: Status | None = None
        for version, stored in enumerate(self.history(), start=1):
            assert stored.version == version
            status = INITIAL if status is None else next_status(status, stored.event.type)
            assert status is not None
        item = self.item()
        assert status == (item.status if item else None)

    @invariant()
    def attempts_and_jobs_are_bounded(self) -> None:
        item = self.item()
        if item is not None:
            assert item.attempt <= 2
            assert len(item.job_ids) <= 2
            assert all(job.startswith(f"job-{item.attempt}") for job in item.job_ids)

    @invariant()
    def a_failure_is_told_exactly_while_it_lasts(self) -> None:
        item = self.item()
        if item is not None:
            assert (item.failure is not None) is (item.status is Status.FAILED)
            assert (item.outputs is not None) is (item.status is Status.READY)

    @invariant()
    def the_row_is_what_the_history_folds_to(self) -> None:
        history = [stored.event for stored in self.history()]
        assert self.database.rows.get(f.MEDIA_ID) == project_history(f.MEDIA_ID, history)

    @invariant()
    def an_erased_item_shows_nothing_personal_and_its_history_names_what_went(self) -> None:
        item = self.item()
        if item is None or item.status is not Status.ERASED:
            return
        assert (item.file_name, item.input_key) == (None, None)
        *before, last = self.history()
        assert isinstance(last.event, Erased)
        assert last.event.commitments == item.commitments
        assert all(stored.personal is None for stored in before)

    @invariant()
    def work_is_left_exactly_while_an_attempt_runs(self) -> None:
        item = self.item()
        runs = item is not None and item.status is Status.TRANSCODING
        watched = [job for job in self.database.jobs.values() if not job.closed]
        assert bool(self.database.outbox or watched) is runs
        assert (item is not None and item.deadline is not None) is (
            runs or (item is not None and item.status is Status.UPLOADING)
        )


TestItem = Item.TestCase
TestItem.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
)
