"""`python -m gpu_worker transcode FILE --out DIR`: the worker alone, without bucket or server."""

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID, uuid4, uuid5

from pydantic import TypeAdapter, ValidationError

from gpu_worker import doctor, manifest
from gpu_worker.chunked import LocalBoard
from gpu_worker.contract import (
    CONFORMANCE_NAME,
    EXTRAS_NAME,
    CreatorId,
    JobInput,
    Manifest,
    MediaType,
    OutputLayout,
    WorkerError,
)
from gpu_worker.errors import IsolationMissing, JobFailed, ToolMissing
from gpu_worker.manifest import Identity
from gpu_worker.packager import Packager
from gpu_worker.settings import EncodeSettings
from gpu_worker.tools import choose_encoder, find_tools

BAR_WIDTH = 30
USAGE_ERROR = 2
MOST_WORKERS = 64


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of `transcode`; exits with 2 and a usage line when they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m gpu_worker",
        description="Without arguments: serve RunPod jobs. With `transcode`: convert one file.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    transcode = commands.add_parser(
        "transcode",
        help="convert one file into HLS below a folder",
        description="Convert one video or audio file into the layout the bucket has.",
        epilog="example: python -m gpu_worker transcode holiday.mp4 --out /tmp/hls --json",
    )
    transcode.add_argument("file", type=Path, metavar="FILE")
    transcode.add_argument("--out", type=Path, required=True, metavar="DIR")
    transcode.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    transcode.add_argument("--encoder", choices=("auto", "libx264", "h264_nvenc"))
    transcode.add_argument(
        "--type",
        choices=("video", "audio"),
        help="what FILE is taken for; default: a video if it has a picture",
    )
    transcode.add_argument(
        "--chunk-workers",
        type=_workers,
        default=0,
        metavar="N",
        help="make a long film in chunks, N at a time (from CHUNK_MIN_SECONDS on)",
    )
    transcode.add_argument("--creator", default="local", type=_creator_id, metavar="ID")
    transcode.add_argument("--media-id", type=UUID, default=None, metavar="UUID")
    commands.add_parser(
        "doctor", help="print a JSON list of what is found of ffmpeg, the encoder, the bucket"
    )
    return parser.parse_args(argv)


def _workers(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"a number from 0 to {MOST_WORKERS}")
    return int(text)


def _creator_id(text: str) -> str:
    try:
        return TypeAdapter(CreatorId).validate_python(text)
    except ValidationError:
        raise argparse.ArgumentTypeError("letters, digits, _ and - only, 64 at most") from None


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command. Exit status 0; 1 for a failure, told in one sentence; 2 for wrong usage."""
    arguments = parse(argv)
    return doctor.tell(environ) if arguments.command == "doctor" else _main(arguments, environ)


def _main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if not arguments.file.is_file():
        print(f"{arguments.file} is not a file.", file=sys.stderr)
        return USAGE_ERROR
    # What `kill` sends ends the work as Ctrl-C does: ffmpeg stopped, the hidden folder removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wanted = {"ENCODER": arguments.encoder} if arguments.encoder else {}
    try:
        settings = EncodeSettings.from_environ({**environ, **wanted})
        made = _transcode(arguments, settings)
    except JobFailed as failure:
        return _fail(failure.to_wire(), failure.sentence, as_json=arguments.json)
    except (IsolationMissing, ToolMissing, ValidationError) as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    except OSError as error:
        print(f"{arguments.out} cannot be written: {error.strerror}.", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return 130
    _tell(made, arguments.out, as_json=arguments.json)
    return 0


def _transcode(arguments: argparse.Namespace, settings: EncodeSettings) -> Manifest:
    """Make everything in a hidden folder beside the result, then move it into place."""
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".transcode-", dir=out.resolve()) as name:
        room = Path(name)
        (room / "input").symlink_to(arguments.file.resolve())
        identity, made = asyncio.run(_produce(arguments, settings, room))
        _move_into_place(room / "tree", out, made, identity)
    return made


async def _produce(
    arguments: argparse.Namespace, settings: EncodeSettings, room: Path
) -> tuple[Identity, Manifest]:
    started = time.monotonic()
    etag = _etag(arguments.file)
    tools = find_tools(settings)
    media_id: UUID = arguments.media_id or uuid4()
    layout = OutputLayout(arguments.creator, media_id)
    folder = manifest.make_room(room / "tree", layout)
    board = LocalBoard(arguments.chunk_workers) if arguments.chunk_workers else None
    packager = Packager(tools, await choose_encoder(settings, tools, room), settings, board)
    package = await packager.package(room / "input", arguments.type, folder, _show_progress)
    manifest.settle(room / "tree", layout)
    identity = _identity(arguments, media_id, package.media_type, etag)
    seconds = time.monotonic() - started
    return identity, manifest.build(room / "tree", package, identity, seconds)


def _etag(file: Path) -> str:
    """As web servers make theirs: a digest would take another reading of the whole file."""
    stat = file.stat()
    return f"{stat.st_mtime_ns:x}-{stat.st_size:x}"


def _identity(
    arguments: argparse.Namespace, media_id: UUID, kind: MediaType, etag: str
) -> Identity:
    job = JobInput(
        media_id=media_id,
        attempt=1,
        attempt_id=uuid5(media_id, "attempt/1"),
        type=kind,
        creator_id=arguments.creator,
        input_key=f"{arguments.creator}/originals/{media_id}/{arguments.file.name}",
        input_etag=etag,
        webhook_url="",
    )
    return Identity("local", job, "local")


def _move_into_place(tree: Path, out: Path, made: Manifest, identity: Identity) -> None:
    shutil.rmtree(out / identity.layout.prefix, ignore_errors=True)
    for item in made.objects:
        target = out / item.key
        target.parent.mkdir(parents=True, exist_ok=True)
        (tree / item.key).replace(target)
    (out / identity.layout.manifest).write_text(made.to_json())


def _show_progress(share: float) -> None:
    if sys.stderr.isatty():
        filled = round(share * BAR_WIDTH)
        bar = "█" * filled + "░" * (BAR_WIDTH - filled)
        end = "\n" if share >= 1 else ""
        print(f"\r{bar} {share:4.0%}", end=end, file=sys.stderr, flush=True)


def _tell(made: Manifest, out: Path, *, as_json: bool) -> None:
    keys = {
        "master": made.hls_master_key,
        "preview": made.hls_preview_key,
        "thumbnail": made.thumbnail_key,
        "waveform": made.waveform_key,
        "extras": made.hls_master_key.replace("master.m3u8", EXTRAS_NAME),
        "conformance": made.hls_master_key.replace("master.m3u8", CONFORMANCE_NAME),
        "manifest": made.hls_master_key.replace("master.m3u8", "manifest.json"),
    }
    paths = {name: str((out / key).resolve()) for name, key in keys.items() if key is not None}
    if as_json:
        print(json.dumps({**json.loads(made.to_json()), "paths": paths}))
        return
    names = ", ".join(rendition.name for rendition in made.renditions)
    print(f"{made.duration_seconds:.1f} s as {names} with {made.encoder}")
    for name, path in paths.items():
        print(f"{name:12}{path}")


def _fail(error: WorkerError, sentence: str, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": json.loads(error.to_json())}))
    print(sentence, file=sys.stderr)
    return 1
