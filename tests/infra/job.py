"""A job for the one item's first attempt, as RunPod is asked to do it."""

from datetime import timedelta

from domain.events import MediaType
from domain.media import attempt_id
from domain.ports import TranscodingJob
from tests import factories as f
from tests.infra.raw_http import http_answer

JOB = TranscodingJob(
    media_id=f.MEDIA_ID,
    attempt=1,
    attempt_id=attempt_id(f.MEDIA_ID, 1),
    media_type=MediaType.VIDEO,
    creator_id=f.CREATOR,
    input_key=f"{f.CREATOR}/originals/{f.MEDIA_ID}/holiday.mp4",
    input_etag=f.ETAG,
    traceparent=f.TRACEPARENT,
    deadline=f.NOW + timedelta(hours=6),
)
ACCEPTED = http_answer(200, b'{"id":"eaebd6e7-u1","status":"IN_QUEUE"}')
