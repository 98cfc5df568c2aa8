"""The playlists of a finished encode: of each rendition, of its I-frames, and the one of all."""

from itertools import chain
from pathlib import Path

from gpu_worker import beside, ffmpeg
from gpu_worker.iframes import lines as iframe_lines
from gpu_worker.iframes import make_iframes
from gpu_worker.leftovers import codecs_of
from gpu_worker.playlist import (
    MediaPlaylist,
    Variant,
    measured_variant,
    render_media,
    render_multivariant,
    target_duration,
)
from gpu_worker.thinning import remove_unused, worth_keeping


def finish_video(
    folder: Path,
    job: ffmpeg.VideoPass,
    videos: list[MediaPlaylist],
    audios: dict[int, MediaPlaylist],
    step: float | None,
) -> tuple[Variant, ...]:
    """Write the playlists of the renditions that are kept, and the multivariant playlist."""
    made = [(video, codecs_of(folder, video)) for video in videos]
    others = [beside.finish(folder, codec, job.rungs, videos[0]) for codec in job.beside]
    everything = [*(video for video, _ in chain(made, *others)), *audios.values()]
    target = target_duration(everything)
    ladders = [
        tuple(
            measured_variant(
                video,
                target,
                video_codecs=told,
                width=planned.size.width,
                height=planned.size.height,
                frame_rate=float(job.frame_rate),
                audio=audios.get(planned.rung.audio_kbps),
            )
            for planned, (video, told) in zip(job.rungs, renditions, strict=True)
        )
        for renditions in (made, *others)
    ]
    if step is not None:
        ladders = [worth_keeping(variants, step) for variants in ladders]
    variants = tuple(chain.from_iterable(ladders))
    if step is not None:
        everything = remove_unused(folder, variants, everything)
    write_media(folder, everything, target)
    kept = {variant.playlist.name for variant in variants}
    scrubbed = [
        make_iframes(
            folder, video, codecs=told, width=planned.size.width, height=planned.size.height
        )
        for planned, (video, told) in zip(job.rungs, made, strict=True)
        if video.name in kept
    ]
    (folder / "master.m3u8").write_text(render_multivariant(variants) + iframe_lines(scrubbed))
    return variants


def write_media(folder: Path, playlists: list[MediaPlaylist], target_seconds: int) -> None:
    """Write all media playlists with one target duration."""
    for playlist in playlists:
        (folder / playlist.uri).write_text(render_media(playlist, target_seconds))
