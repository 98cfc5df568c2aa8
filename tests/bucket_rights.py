"""The two keys of the bucket: what their holders may do, as stores are told it."""

import json
from typing import Any

BUCKET = "codex-media"
OUTPUTS = ("hls", "thumbnails", "waveforms", "claims", "chunks")
"""Folders of a creator that a worker writes; `originals` it reads alone."""


def identities(worker: dict[str, str], service: dict[str, str]) -> list[dict[str, Any]]:
    """SeaweedFS's identities of both, with these credentials."""
    return [
        {
            "name": "codex-media-service",
            "credentials": [service],
            # Writing to the bucket itself would be a right to change its CORS rules.
            "actions": [f"Read:{BUCKET}", f"Write:{BUCKET}/*", f"List:{BUCKET}"],
        },
        {
            "name": "codex-media-worker",
            "credentials": [worker],
            "actions": [
                f"Read:{BUCKET}/*/originals/*",
                *(
                    f"{action}:{BUCKET}/*/{folder}/*"
                    for folder in OUTPUTS
                    for action in ("Read", "Write", "List")
                ),
            ],
        },
    ]


def identities_text() -> str:
    """The same as a file, for the docs."""
    blank = {"accessKey": "…", "secretKey": "…"}
    return f"```json\n{_lines({'identities': identities(blank, blank)})}\n```"


def policy_text() -> str:
    """The worker's policy on Amazon S3, for the docs."""
    folders = [f"arn:aws:s3:::{BUCKET}/*/{folder}/*" for folder in OUTPUTS]
    statements = [
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{BUCKET}/*/originals/*",
        },
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            "Resource": folders,
        },
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": f"arn:aws:s3:::{BUCKET}",
            "Condition": {"StringLike": {"s3:prefix": [f"*/{folder}/*" for folder in OUTPUTS]}},
        },
    ]
    return f"```json\n{_lines({'Version': '2012-10-17', 'Statement': statements})}\n```"


def _lines(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
