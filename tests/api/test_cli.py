"""The command line in itself: help, tokens, settings, and failures told in a sentence."""

import json
import stat
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import jwt
import pytest
from typer.testing import CliRunner

from api.cli import app
from api.cli.file import UnusableFile, type_by_name
from api.cli.place import write_running
from infra.embedded.ports import free_port
from tests.api.console import Console

COMMANDS = [
    command.name or command.callback.__name__
    for command in app.registered_commands
    if command.callback is not None
]
WITH_EXAMPLE = {"demo", "up", "serve", "transcode", "upload", "token", "test"}


def test_every_command_of_the_design_is_there() -> None:
    wanted = "demo up serve work migrate transcode upload status retry history token doctor test"
    assert set(COMMANDS) >= set(wanted.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_command_does(command: str) -> None:
    told = CliRunner().invoke(app, [command, "--help"])

    assert told.exit_code == 0
    assert f"{command} [OPTIONS]" in told.output
    assert command not in WITH_EXAMPLE or "Example" in told.output


def test_help_of_the_program_names_every_command() -> None:
    told = CliRunner().invoke(app, ["--help"])

    assert told.exit_code == 0
    assert all(f" {command} " in told.output for command in COMMANDS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("holiday.mp4", "video/mp4"),
        ("HOLIDAY.MOV", "video/quicktime"),
        ("a.mkv", "video/x-matroska"),
        ("a.webm", "video/webm"),
        ("a.ts", "video/mp2t"),
        ("a.avi", "video/x-msvideo"),
        ("song.mp3", "audio/mpeg"),
        ("song.wav", "audio/x-wav"),
        ("song.flac", "audio/flac"),
        ("song.m4a", "audio/mp4"),
        ("song.opus", "audio/opus"),
    ],
)
def test_the_type_is_read_from_the_name(name: str, expected: str) -> None:
    assert type_by_name(Path(name)) == expected


@pytest.mark.parametrize("name", ["notes.txt", "picture.png", "README", ".mp4", "a.mp4.zip"])
def test_a_name_that_says_neither_video_nor_audio_is_refused(name: str) -> None:
    with pytest.raises(UnusableFile, match="--content-type"):
        type_by_name(Path(name))


def test_running_settings_are_for_this_user_alone(tmp_path: Path) -> None:
    (tmp_path / "running.json").write_text("left by an earlier run")

    path = write_running(tmp_path, {"JWT_SECRET": "s"})

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {"JWT_SECRET": "s"}


def test_a_token_carries_what_was_asked_for(
    console: Console, tmp_path: Path, environ: dict[str, str]
) -> None:
    write_running(tmp_path, environ)

    made = console.run(
        "token", "--creator", "eve", "--role", "auditor", "--role", "admin", "--hours", "0.5",
        "--data", str(tmp_path),
    )  # fmt: skip

    claims = jwt.decode(
        made.out.strip(),
        environ["JWT_SECRET"],
        algorithms=["HS256"],
        audience="codex-media",
        issuer="codex-media",
    )
    assert (claims["sub"], claims["roles"]) == ("eve", ["auditor", "admin"])
    assert claims["exp"] - claims["iat"] == 1800


def test_a_role_that_is_none_is_refused_with_those_there_are(
    console: Console, tmp_path: Path
) -> None:
    refused = console.run("token", "--role", "owner", "--data", str(tmp_path))

    assert refused.code == 2
    assert "creator, auditor, admin" in refused.err


def test_no_token_is_made_where_a_provider_makes_them(
    console: Console, tmp_path: Path, environ: dict[str, str]
) -> None:
    del environ["JWT_SECRET"]
    write_running(tmp_path, environ | {"JWKS_URL": "https://id.test/keys"})

    refused = console.run("token", "--data", str(tmp_path))

    assert refused.code == 2
    assert "identity provider" in refused.err


@pytest.mark.parametrize("command", ["status", "history", "retry"])
def test_without_a_service_a_command_says_how_to_start_one(
    console: Console, tmp_path: Path, command: str
) -> None:
    told = console.run(command, str(uuid4()), "--data", str(tmp_path))

    sentence(told.code, told.err)
    assert "codex-media up" in told.err
    assert str(tmp_path / "running.json") in told.err


def test_a_service_that_does_not_answer_is_named(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("CODEX_MEDIA_URL", url)
    monkeypatch.setenv("CODEX_MEDIA_TOKEN", "a-secret-token")

    told = console.run("status", str(uuid4()))

    sentence(told.code, told.err)
    assert f"{url}" in told.err
    assert "does not answer" in told.err
    assert "a-secret-token" not in told.err


def test_wrong_settings_are_named_and_never_shown(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@db/x")
    monkeypatch.setenv("R2_ENDPOINT", "hunter2 is no URL")

    told = console.run("serve")

    sentence(told.code, told.err, lines=40)
    for name in ("R2_ENDPOINT", "RUNPOD_ENDPOINT_ID", "WEBHOOK_SECRETS", "PUBLIC_APP_URL"):
        assert name in told.err
    assert "hunter2" not in told.err


def test_a_file_of_unknown_type_is_not_sent(
    console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEX_MEDIA_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("CODEX_MEDIA_TOKEN", "token")
    notes = tmp_path / "notes.txt"
    notes.write_text("not a film")

    told = console.run("upload", str(notes))

    sentence(told.code, told.err)
    assert "notes.txt" in told.err
    assert "--content-type" in told.err


def test_a_file_that_is_not_there_is_a_usage_error(console: Console, tmp_path: Path) -> None:
    told = console.run("upload", str(tmp_path / "gone.mp4"))

    assert told.code == 2
    assert "does not exist" in " ".join(told.err.split())


def test_the_program_itself_tells_a_sentence(tmp_path: Path) -> None:
    done = program(tmp_path, "status", str(uuid4()), "--data", str(tmp_path))

    sentence(done.returncode, done.stderr)
    assert done.stdout == ""


def program(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`codex-media ARGUMENTS` in a process of its own."""
    argv = [sys.executable, "-m", "api.cli", *arguments]
    src = Path(__file__).parents[2] / "src"
    environ = {"PYTHONPATH": f"{src}:{src.parent}", "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        argv, env=environ, cwd=cwd, capture_output=True, text=True, timeout=30, check=False
    )


def sentence(code: int, err: str, lines: int = 1) -> None:
    """The failure is told, not thrown."""
    assert code == 1
    assert err.startswith("error: ")
    assert len(err.strip().splitlines()) <= lines
    assert "Traceback" not in err
