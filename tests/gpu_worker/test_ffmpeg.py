"""The exact command lines."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from gpu_worker import ffmpeg, ladder
from gpu_worker.colour import Colour
from gpu_worker.ladder import Size
from gpu_worker.sound import AudioPlan
from gpu_worker.storyboard import Storyboard

SOURCE = ffmpeg.Source(Path("/job/input"), max_pixels=1000)
GUARDS = [
    "-protocol_whitelist", "file", "-format_whitelist", ffmpeg.DEMUXERS,
    "-max_streams", "32", "-max_pixels",
]  # fmt: skip
PROGRAM = ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-y"]
CLEAN = ["-map_metadata", "-1", "-map_chapters", "-1"]


def hls_output(name: str, seconds: str) -> list[str]:
    return [
        "-t", seconds, *CLEAN, "-output_ts_offset", "10", "-f", "hls", "-hls_time", "6",
        "-hls_flags", "temp_file", "-hls_playlist_type", "vod",
        "-hls_segment_filename", f"{name}_%03d.ts", f"{name}.m3u8",
    ]  # fmt: skip


def video_job(**changes: object) -> ffmpeg.VideoPass:
    facts: dict[str, object] = {
        "source": SOURCE,
        "index": 0,
        "canvas": Size(1280, 720),
        "rungs": ladder.plan(Size(1280, 720))[1:],
        "frame_rate": Fraction(30000, 1001),
        "length_seconds": 14.5,
        "poster_at_seconds": 1.45,
        "encoder": "libx264",
        "x264_preset": "veryfast",
        "audio": AudioPlan(index=1, channels=6, kbps=(128, 64), pad_seconds=0.25),
        **changes,
    }
    return ffmpeg.VideoPass(**facts)  # type: ignore[arg-type]  # a test's table of changes


def test_ffprobe_reads_a_local_file_and_nothing_else() -> None:
    assert ffmpeg.ffprobe("ffprobe", SOURCE) == [
        "ffprobe", "-v", "error", "-hide_banner", *GUARDS, "134217728",
        "-of", "json", "-show_format", "-show_streams",
        "-show_packets", "-read_intervals", "%+#1", "file:/job/input",
    ]  # fmt: skip


def test_no_demuxer_that_opens_other_files_is_allowed() -> None:
    allowed = set(ffmpeg.DEMUXERS.split(","))
    assert not allowed & {
        "hls",
        "dash",
        "concat",
        "image2",
        "image2pipe",
        "png_pipe",
        "sdp",
        "rtsp",
    }


def test_video_pass_with_libx264() -> None:
    def encoder(video_kbps: int) -> list[str]:
        return [
            "-c:v", "libx264", "-threads", "1", "-preset", "veryfast", "-profile:v", "high",
            "-aq-strength", "0.6", "-crf", "26",
            "-maxrate", f"{video_kbps}k", "-bufsize", f"{video_kbps}k",
            "-g", "60", "-force_key_frames", "expr:gte(t,n_forced*2)", "-keyint_min", "60",
            "-sc_threshold", "0", "-flags", "+cgop",
        ]  # fmt: skip

    graph = [
        "[0:0]fps=30000/1001:start_time=0,trim=end=14.533367,"
        "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv,"
        "scale=1280:720,format=yuv420p,setsar=1,"
        "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv,"
        "tpad=stop_mode=clone:stop_duration=0.25,split=2[canvas][still]",
        r"[still]select=gte(t\,1.45)*isnan(prev_selected_t),"
        "zscale=matrix=smpte170m:range=pc,format=yuvj420p[poster]",
        "[canvas]zscale=854:480:filter=bicubic:param_a=0:param_b=0.6,setsar=1,split=2[v0][c0]",
        "[c0]zscale=640:360:filter=bicubic:param_a=0:param_b=0.6,setsar=1,null[v1]",
        "[0:1]aresample=48000:async=1:first_pts=0,aformat=channel_layouts=stereo,"
        "apad=pad_dur=0.25,asplit=2[a0][a1]",
    ]
    assert ffmpeg.video_pass("ffmpeg", video_job()) == [
        *PROGRAM, "-progress", "pipe:1", "-stats_period", "0.5",
        *GUARDS, "1000", "-i", "file:/job/input",
        "-filter_complex_threads", "1", "-filter_complex", ";".join(graph),
        "-map", "[v0]", *encoder(1000), *hls_output("480p", "14.5"),
        "-map", "[v1]", *encoder(500), *hls_output("360p", "14.5"),
        "-map", "[a0]", "-c:a", "aac", "-profile:a", "aac_low", "-b:a", "128k",
        *hls_output("audio-128k", "14.5"),
        "-map", "[a1]", "-c:a", "aac", "-profile:a", "aac_low", "-b:a", "64k",
        *hls_output("audio-64k", "14.5"),
        "-map", "[poster]", "-frames:v", "1", "-c:v", "mjpeg", "-q:v", "3", *CLEAN,
        "-f", "image2", "-update", "1", "poster.jpg",
    ]  # fmt: skip


def test_moments_from_all_over_the_film_are_half_a_second_each() -> None:
    argv = ffmpeg.video_pass("ffmpeg", video_job(length_seconds=24.0, animated=True))
    graph = argv[argv.index("-filter_complex") + 1].split(";")
    assert graph[0].endswith("split=3[canvas][still][moments]")
    assert graph[2] == (
        r"[moments]select=gte(t\,(selected_n+0.5)*2.000000)*lt(selected_n\,12),"
        "scale=320:180:flags=area,setsar=1,zscale=matrix=smpte170m:range=tv,format=yuv420p,"
        "settb=1/2,setpts=N,fps=2[moving]"
    )
    at = argv.index("[moving]") - 1
    assert argv[at : argv.index("[poster]") - 1] == [
        "-map", "[moving]", *CLEAN, "-fps_mode", "passthrough", "-c:v", "libwebp_anim",
        "-quality", "50", "-loop", "0", "-f", "webp", "animated.webp",
    ]  # fmt: skip


def test_sound_is_measured_as_delivered_and_drawn_as_it_was() -> None:
    audio = AudioPlan(
        index=1, channels=2, kbps=(64,), pad_seconds=0.25, gain_db=-2.5, measured=True
    )
    plain = ffmpeg.video_pass("ffmpeg", video_job(audio=replace(audio, gain_db=0, measured=False)))
    argv = ffmpeg.video_pass("ffmpeg", video_job(audio=audio, waveform_rate_hz=44100))
    progress = ["-progress", "pipe:1", "-stats_period", "0.5"]
    assert plain[6:10] == progress
    assert "-progress" not in argv, "stdout is for the PCM"
    at = argv.index("[poster]") - 1
    assert argv[at - 18 : at] == [
        "-map", "0:1", "-af", "aresample=44100:async=1:first_pts=0,apad=pad_dur=0.25",
        "-t", "14.5", *CLEAN, "-c:a", "pcm_s16le", "-ar", "44100", "-ac", "2",
        "-flush_packets", "0", "-f", "s16le", "pipe:1",
    ][-18:]  # fmt: skip
    graph = argv[argv.index("-filter_complex") + 1].partition("[0:1]")[2]
    assert graph == (
        "aresample=48000:async=1:first_pts=0,aformat=channel_layouts=stereo,volume=-2.5dB,"
        "apad=pad_dur=0.25,asplit=2[a0][loud];[loud]atrim=end=14.5,ebur128=peak=true:metadata=1,"
        "ametadata=mode=print:file=loudness.txt,anullsink"
    )


def test_the_loudness_pass_decodes_the_sound_alone() -> None:
    audio = AudioPlan(index=1, channels=1, kbps=(64,))
    assert ffmpeg.loudness_pass("ffmpeg", SOURCE, audio, 9.5) == [
        *PROGRAM, *GUARDS, "1000", "-i", "file:/job/input", "-filter_complex",
        "[0:1]aresample=48000:async=1:first_pts=0,pan=stereo|c0=c0|c1=c0,atrim=end=9.5,"
        "ebur128=peak=true:metadata=1,ametadata=mode=print:file=loudness.txt[measured]",
        "-map", "[measured]", "-f", "null", "-",
    ]  # fmt: skip


def test_sheets_are_chosen_before_they_are_scaled_and_never_repeated() -> None:
    plain = ffmpeg.video_pass("ffmpeg", video_job())
    board = Storyboard(2, 8, 1, Size(160, 90))
    argv = ffmpeg.video_pass("ffmpeg", video_job(storyboard=board))
    at = argv.index("[board]") - 1
    assert argv[at : at + 16] == [
        "-map", "[board]", *CLEAN, "-fps_mode", "passthrough", "-c:v", "mjpeg", "-q:v", "4",
        "-f", "image2", "-start_number", "0",
    ]  # fmt: skip
    graph = plain.index("-filter_complex") + 1
    assert argv[at + 17 :] == plain[at:]
    assert argv[graph].replace("split=3[canvas][still][sheets]", "split=2[canvas][still]") == (
        plain[graph].replace(
            "[poster];",
            r"[poster];[sheets]select=gte(t\,selected_n*2)*lt(t\,14.5),scale=160:90:flags=area,"
            "setsar=1,zscale=matrix=smpte170m:range=pc,format=yuvj420p,tile=8x1[board];",
        )
    )


def graph(**changes: object) -> str:
    argv = ffmpeg.video_pass("ffmpeg", video_job(**changes))
    return argv[argv.index("-filter_complex") + 1]


def test_interlaced_pictures_are_woven_before_anything_else() -> None:
    assert graph(interlaced=True).startswith("[0:0]bwdif=mode=send_frame:deint=interlaced,fps=")


def test_other_colours_are_brought_to_bt709_by_zscale() -> None:
    told = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=smpte170m:range=pc"
    wanted = "primaries=bt709:transfer=bt709:matrix=bt709:range=tv"
    colour = Colour("smpte170m", "bt709", "bt709", full_range=True)
    assert f"{told},zscale=1280:720:filter=bicubic:{wanted},format=" in graph(colour=colour)
    bright = Colour("bt2020nc", "bt2020", "smpte2084", full_range=False)
    assert (
        "color_trc=smpte2084:colorspace=bt2020nc:range=tv,zscale=1280:720:filter=bicubic,"
        "zscale=transfer=linear:npl=100,format=gbrpf32le,zscale=primaries=bt709,"
        f"tonemap=hable:desat=0,zscale={wanted},format=yuv420p"
    ) in graph(colour=bright)
    assert "scale=1280:720:out_color_matrix=bt709:out_range=tv:flags=" in graph(colour=None)


def test_sound_before_the_first_picture_is_left_out() -> None:
    argv = ffmpeg.video_pass("ffmpeg", video_job(skip_seconds=0.021333))
    assert argv[argv.index("-itsoffset") + 1] == "-0.021333"
    assert argv.index("-itsoffset") < argv.index("-i")


def test_mono_is_copied_to_both_speakers_at_its_loudness() -> None:
    audio = AudioPlan(index=0, channels=1, kbps=(128, 64))
    job = ffmpeg.AudioPass(SOURCE, audio, sample_rate_hz=44100, max_seconds=3600)
    assert ffmpeg.audio_pass("ffmpeg", job) == [
        *PROGRAM, *GUARDS, "1000", "-i", "file:/job/input", "-filter_complex",
        "[0:0]asetpts=PTS-STARTPTS,aresample=48000:async=1:first_pts=0,"
        "pan=stereo|c0=c0|c1=c0,asplit=2[a0][a1]",
        "-map", "[a0]", "-c:a", "aac", "-profile:a", "aac_low", "-b:a", "128k",
        *hls_output("128k", "3600"),
        "-map", "[a1]", "-c:a", "aac", "-profile:a", "aac_low", "-b:a", "64k",
        *hls_output("64k", "3600"),
        "-map", "0:0", "-t", "3600", *CLEAN, "-c:a", "pcm_s16le", "-ar", "44100", "-ac", "1",
        "-flush_packets", "0", "-f", "s16le", "pipe:1",
    ]  # fmt: skip


def test_preview_is_copied_with_its_timestamps() -> None:
    argv = ffmpeg.preview_copy("ffmpeg", [Path("/job/v.ts"), Path("/job/a.ts")])
    assert argv == [
        *PROGRAM, "-copyts",
        "-protocol_whitelist", "file", "-f", "mpegts", "-i", "file:/job/v.ts",
        "-protocol_whitelist", "file", "-f", "mpegts", "-i", "file:/job/a.ts",
        "-map", "0:0", "-map", "1:0", "-c", "copy", *CLEAN, "-f", "hls", "-hls_time", "6",
        "-hls_flags", "temp_file", "-hls_playlist_type", "vod",
        "-hls_segment_filename", "preview/preview_%03d.ts", "preview/preview.m3u8",
    ]  # fmt: skip
