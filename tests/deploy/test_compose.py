"""compose.yaml gives each process the settings that it reads, and no password of its own."""

import re

import pytest

from api.cli.env_file import for_compose
from gpu_worker.settings import WorkerSettings
from infra.embedded.runpod_local import RunpodEndpoint, worker_environ
from infra.embedded.runpod_stand_in import StandInSettings
from infra.settings import Settings, load
from tests.deploy.compose import (
    DOCUMENT,
    SERVICES,
    TEXT,
    VariableMissing,
    environment,
    filled_in,
    named,
    parsed,
)
from tests.deploy.dockerfile import ROOT

OURS = {"serve", "work", "migrate", "bucket"}
ONCE = {"migrate", "bucket"}
MADE = parsed(for_compose("media.example.com"))
SECRET = re.compile(r"SECRET|PASSWORD|_KEY")


def test_the_services_are_those_of_a_whole_installation() -> None:
    assert set(SERVICES) == OURS | {"postgres", "objects", "runpod", "worker"}
    by_default = {name for name, each in SERVICES.items() if "profiles" not in each}
    assert by_default == {"serve", "work", "migrate", "postgres"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_variable_of_ours_is_a_setting_and_all_that_are_required_are_given(name: str) -> None:
    given = environment(name, MADE)
    required = {field for field, each in Settings.model_fields.items() if each.is_required()}

    assert {variable.lower() for variable in given} <= set(Settings.model_fields)
    assert {field.upper() for field in required} <= set(given)
    settings = load(given)
    assert settings.public_app_url == MADE["PUBLIC_APP_URL"]
    assert MADE["POSTGRES_PASSWORD"] in settings.database_url.get_secret_value()


def test_the_worker_and_the_stand_in_get_what_they_read() -> None:
    worker = environment("worker", MADE)
    stand_in = StandInSettings.from_environ(environment("runpod", MADE))

    assert WorkerSettings.from_environ(worker).webhook_secret.get_secret_value() in (
        load(environment("serve", MADE)).webhook_keys
    )
    assert stand_in.host == "0.0.0.0"  # noqa: S104 - of a container, on a network of containers
    assert MADE["RUNPOD_BASE_URL"] == f"http://runpod:{stand_in.port}"
    endpoint = RunpodEndpoint(MADE["RUNPOD_BASE_URL"], stand_in.api_key, stand_in.endpoint_id)
    told = worker_environ(endpoint, worker["RUNPOD_POD_ID"])
    assert {name: worker[name] for name in told if name in worker} == {
        name: value for name, value in told.items() if name in worker
    }
    assert set(told) - set(worker) == {"RUNPOD_LOG_LEVEL", "NO_PROXY"}


def test_the_file_of_secrets_has_all_that_must_be_set_and_nothing_that_is_not_asked_for() -> None:
    assert named(":?") <= set(MADE)
    assert set(MADE) <= named(":?") | named(":-")


def test_no_secret_is_written_down() -> None:
    given = [
        (variable, str(value))
        for each in SERVICES.values()
        for variable, value in each.get("environment", {}).items()
    ]
    secret = [(name, value) for name, value in given if SECRET.search(name) and value]

    assert len({name for name, _ in secret}) > 8
    assert all(re.fullmatch(r"\$\{\w+:[?-][^}]*\}", value) for _, value in secret)
    assert re.search(r"postgresql://codex_media:\$\{POSTGRES_PASSWORD:\?", TEXT)


def test_a_missing_secret_stops_it_instead_of_being_empty() -> None:
    without = {name: value for name, value in MADE.items() if name != "LEDGER_KEY"}

    with pytest.raises(VariableMissing, match="LEDGER_KEY"):
        environment("serve", without)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_is_confined_and_bounded(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert set(limits) == {"cpus", "memory"}
    assert "cap_add" not in service or name in {"postgres", "objects"}
    assert service["restart"] == ("on-failure:5" if name in ONCE else "unless-stopped")
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_each_waits_for_what_it_needs() -> None:
    for name in ("serve", "work"):
        needs = SERVICES[name]["depends_on"]
        assert needs["migrate"]["condition"] == "service_completed_successfully"
        assert needs["bucket"] == {
            "condition": "service_completed_successfully",
            "required": False,  # of a profile that a bucket elsewhere leaves out
        }
    for waiting, awaited in (("migrate", "postgres"), ("bucket", "objects")):
        assert SERVICES[waiting]["depends_on"][awaited]["condition"] == "service_healthy"
        assert "test" in SERVICES[awaited]["healthcheck"]


def test_what_goes_on_is_watched_and_what_ends_is_not() -> None:
    unwatched = {
        name for name, each in SERVICES.items() if each.get("healthcheck") == {"disable": True}
    }

    assert unwatched == ONCE | {"runpod"}


def test_networks_and_volumes_are_those_that_are_named() -> None:
    def names(of: object) -> set[str]:
        return set(of)  # type: ignore[call-overload]

    used = set().union(*(names(each["networks"]) for each in SERVICES.values()))
    mounted = {
        volume.split(":")[0] for each in SERVICES.values() for volume in each.get("volumes", [])
    }

    assert used == set(DOCUMENT["networks"])
    assert mounted == set(DOCUMENT["volumes"])
    assert DOCUMENT["networks"]["database"] == {"internal": True}
    assert {n for n, each in SERVICES.items() if "database" in names(each["networks"])} == {
        "serve",
        "work",
        "migrate",
        "postgres",
    }


def test_addresses_that_browsers_use_are_names_of_the_containers_too() -> None:
    app = SERVICES["serve"]["networks"]["inside"]["aliases"]
    bucket = SERVICES["objects"]["networks"]["inside"]["aliases"]

    assert MADE["PUBLIC_APP_URL"] == f"http://{app[0]}:8000"
    assert MADE["R2_ENDPOINT"] == f"http://{bucket[0]}:8333"
    for name, port in (("serve", 8000), ("objects", 8333)):
        assert SERVICES[name]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_images_are_built_from_files_that_are_there() -> None:
    for name in OURS | {"runpod", "worker"}:
        build = SERVICES[name]["build"]
        assert build["context"] == "."
        assert (ROOT / build["dockerfile"]).is_file()


def test_variables_are_filled_in_as_compose_does_it() -> None:
    assert filled_in("a ${A:-b} ${B:-c} $$ID", {"A": "x"}) == "a x c $ID"
