"""What the command line refuses before anything is started, sent or signed."""

import json
import os
from pathlib import Path
from uuid import uuid4

import jwt
import pytest

from api.cli.place import write_running
from tests.api.console import Console
from tests.api.test_cli import program, sentence

UNUSABLE = {
    "empty.mp4": ("", "empty.mp4 is empty."),
    "notes.txt": ("not a film", "notes.txt does not say whether this is video or audio"),
    os.fsdecode(b"holiday-\xff.mp4"): ("a film", "not UTF-8. Rename it."),
}


@pytest.mark.parametrize("name", UNUSABLE, ids=["empty", "unknown ending", "no UTF-8"])
@pytest.mark.parametrize("command", ["demo", "upload", "demo --json", "upload --json"])
def test_an_unusable_file_is_told_before_anything_starts(
    console: Console,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    name: str,
) -> None:
    monkeypatch.setenv("CODEX_MEDIA_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("CODEX_MEDIA_TOKEN", "token")
    content, why = UNUSABLE[name]
    (tmp_path / name).write_text(content)
    data = tmp_path / "data"

    told = console.run(*command.split(), str(tmp_path / name), "--data", str(data))

    sentence(told.code, told.err)
    assert why in told.err
    assert not data.exists()
    error = {"code": "file_unusable", "message": told.err.strip().removeprefix("error: ")}
    printed = json.dumps({"status": None, "error": error}) + "\n"
    assert told.out == (printed if "--json" in command else "")


@pytest.mark.parametrize(
    "command",
    [("demo",), ("up",), ("migrate",), ("token",), ("doctor",), ("status", str(uuid4()))],
    ids=lambda command: command[0],
)
def test_data_that_is_a_file_is_a_usage_error(
    console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("film.mp4").write_text("a film")

    told = console.run(*command, "--data", "film.mp4")

    assert told.code == 2
    assert "Invalid value for '--data': dir 'film.mp4' is a file." in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize("creator", ["a/b", "..", "", "_a", "a" * 65, "\x1b[2J"])
def test_a_creator_whom_no_service_would_take_gets_no_token(
    console: Console, tmp_path: Path, environ: dict[str, str], creator: str
) -> None:
    write_running(tmp_path, environ)

    told = console.run("token", "--creator", creator, "--data", str(tmp_path))

    sentence(told.code, told.err)
    assert f"{creator!r} is no creator id" in told.err
    assert told.out == ""


def test_data_that_is_named_wins_over_the_environment(
    console: Console,
    tmp_path: Path,
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_running(tmp_path, environ | {"JWT_SECRET": "n" * 32})
    for name, value in (environ | {"JWT_SECRET": "e" * 32}).items():
        monkeypatch.setenv(name, value)

    named = console.run("token", "--data", str(tmp_path)).out.strip()
    unnamed = console.run("token").out.strip()

    for made, secret in ((named, "n" * 32), (unnamed, "e" * 32)):
        jwt.decode(made, secret, algorithms=["HS256"], audience="codex-media")


def test_transcode_into_a_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_text("not a film")

    done = program(tmp_path, "transcode", "film.mp4", "--out", "film.mp4/out")

    assert done.returncode == 2
    assert done.stderr == "film.mp4/out cannot be written: Not a directory.\n"


def test_an_encoder_that_is_none_is_refused_with_those_there_are(
    console: Console, tmp_path: Path
) -> None:
    film, out = tmp_path / "film.mp4", tmp_path / "out"
    film.write_text("a film")

    told = console.run("transcode", str(film), "--out", str(out), "--encoder", "foo")

    assert told.code == 2
    assert "codex-media transcode [OPTIONS]" in told.err
    for word in ("'foo'", "auto", "libx264", "h264_nvenc"):
        assert word in told.err
    assert not out.exists()
