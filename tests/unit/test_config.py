"""Where settings come from, and what stands over what."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from vision_stream.config import load, load_with_places
from vision_stream.config.schema import leaves, variables
from vision_stream.redaction import mask
from vision_stream.settings import KeySettings, Settings

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(**files: str) -> Path:
    directory = Path("config")
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        (directory / f"{name}.yaml").write_text(text)
    return directory


def secrets_of(settings: Settings) -> list[str]:
    return [key.api_key.get_secret_value() for key in settings.llm.keys]


def test_without_any_source_the_settings_are_the_defaults():
    assert load(environ={}) == Settings()


def test_the_shipped_files_and_the_example_of_dot_env_load_and_change_nothing():
    loaded = load_with_places(REPOSITORY / "config", environ={}, env_file=REPOSITORY / ".env.example")

    assert loaded.settings == Settings()
    assert [warning.field for warning in loaded.warnings] == ["keys"]


def test_the_documented_snippets_load_as_they_are_written():
    write(
        api_keys=(
            'keys: [{id: key-001, api_key: "sk-xxx", priority: 1, qps_limit: 10, rpm_limit: 600}]\n'
            "selection_strategy: least_loaded\n"
            "cooling: {min_cooldown: 5, max_cooldown: 60}\n"
        ),
        kafka=(
            'bootstrap_servers: ["localhost:9092"]\n'
            'topics: {detection_results: {name: "detection-results", partitions: 16}}\n'
            "scheduler: {max_concurrent_tasks: 50}\n"
        ),
        monitoring="prometheus: {port: 9090, scrape_interval: 15s}\n",
    )
    Path(".env").write_text(
        "ALGO_ENABLE_KAFKA_STREAMING=true\nALGO_KAFKA_BOOTSTRAP_SERVERS=localhost:9092\nALGO_ENABLE_REDIS=false\n"
    )

    settings = load(environ={}, env_file=Path(".env"))

    assert settings.enable_kafka_streaming
    assert not settings.redis_enabled
    assert settings.kafka.bootstrap_servers == ("localhost:9092",)
    assert settings.kafka.topics.detection_results.name == "detection-results"
    assert settings.kafka.scheduler.max_concurrent_tasks == 50
    assert settings.monitoring.prometheus.scrape_interval == "15s"
    assert settings.llm.selection_strategy == "least_loaded"
    assert (settings.llm.cooling.min_cooldown, settings.llm.cooling.max_cooldown) == (5, 60)
    (key,) = settings.llm.keys
    assert key == KeySettings(id="key-001", api_key=SecretStr("sk-xxx"), priority=1, qps_limit=10, rpm_limit=600)


SOURCES = ("command line", "environment", ".env", "config/settings.yaml", "default")


@pytest.mark.parametrize("given_by", list(itertools.product([True, False], repeat=4)))
def test_the_first_source_that_has_a_setting_wins(given_by: tuple[bool, ...]):
    overrides = {"gateway.port": 1001} if given_by[0] else {}
    environ = {"ALGO_GATEWAY_PORT": "1002"} if given_by[1] else {}
    Path(".env").write_text("ALGO_GATEWAY_PORT=1003\n" if given_by[2] else "")
    write(settings="gateway: {port: 1004, host: 127.0.0.1}\n" if given_by[3] else "gateway: {host: 127.0.0.1}\n")

    loaded = load_with_places(overrides=overrides, environ=environ, env_file=Path(".env"))

    winner = [*given_by, True].index(True)
    assert loaded.settings.gateway.port == [1001, 1002, 1003, 1004, 8000][winner]
    assert loaded.source_of(("gateway", "port")).name == SOURCES[winner]


def test_a_setting_leaves_its_neighbours_to_the_other_sources():
    write(kafka="topics: {dead_letters: {name: broken}}\nscheduler: {max_concurrent_tasks: 7}\n")
    environ = {"ALGO_KAFKA_SCHEDULER_CALL_DEADLINE_S": "9", "ALGO_KAFKA_TOPICS_DEAD_LETTERS_PARTITIONS": "1"}

    kafka = load(environ=environ, overrides={"kafka": {"app_id": "mine"}}).kafka

    assert (kafka.app_id, kafka.scheduler.max_concurrent_tasks, kafka.scheduler.call_deadline_s) == ("mine", 7, 9)
    assert (kafka.topics.dead_letters.name, kafka.topics.dead_letters.partitions) == ("broken", 1)
    assert kafka.topics.dead_letters.retention_s == Settings().kafka.topics.dead_letters.retention_s


def test_every_setting_has_one_environment_name_and_no_two_share_it():
    assert len(variables()) == len(leaves())
    assert "ALGO_KAFKA_SCHEDULER_MAX_CONCURRENT_TASKS" in variables()


PLAIN = [leaf for leaf in leaves().values() if leaf.type in (int, float, bool) and not leaf.optional]


@settings(deadline=None)
@given(st.sampled_from(PLAIN))
def test_every_plain_setting_can_be_set_to_its_default_by_its_name(leaf):
    value = Settings()
    for step in leaf.path:
        value = getattr(value, str(step))

    assert load(environ={leaf.variable: str(value)}) == Settings()


@pytest.mark.parametrize(
    ("text", "servers"),
    [("a:1", ("a:1",)), ("a:1, b:2,", ("a:1", "b:2")), ('["a:1", "[::1]:2"]', ("a:1", "[::1]:2"))],
)
def test_a_list_in_a_variable_is_comma_separated_or_json(text: str, servers: tuple[str, ...]):
    assert load(environ={"ALGO_KAFKA_BOOTSTRAP_SERVERS": text}).kafka.bootstrap_servers == servers


def test_an_empty_variable_is_not_set_and_an_empty_list_is_two_brackets():
    write(model="classes: [car]\n", settings="enable_redis: true\n")

    settings = load(environ={"ALGO_ENABLE_REDIS": "", "ALGO_MODEL_CLASSES": "[]"})

    assert settings.enable_redis is True
    assert settings.model.classes == ()


def test_an_override_of_none_was_not_given():
    assert load(environ={}, overrides={"gateway": {"port": None, "host": "::1"}}).gateway.port == 8000


def test_overrides_take_settings_objects_too():
    key = KeySettings(id="sim", api_key=SecretStr("sk-sim"))

    assert load(environ={"OPENAI_API_KEY": "sk-canary"}, overrides={"llm.keys": (key,)}).llm.keys == (key,)


def test_sections_and_lists_with_all_lines_commented_out_are_not_set():
    write(api_keys="keys:\n#  - id: a\ncooling:\n", kafka="topics:\n  dead_letters:\n", cameras="# none yet\n")

    assert load(environ={}) == Settings()


def test_the_directory_is_named_by_argument_then_by_variable_then_found_beside():
    for number, name in enumerate(("argument", "variable", "config"), start=1):
        Path(name).mkdir()
        Path(name, "settings.yaml").write_text(f"gateway: {{port: {number}}}\n")
    environ = {"ALGO_CONFIG_DIR": "variable"}

    ports = [load(Path("argument"), environ=environ), load(environ=environ), load(environ={})]

    assert [settings.gateway.port for settings in ports] == [1, 2, 3]


def test_the_directory_can_be_named_in_dot_env():
    Path("elsewhere").mkdir()
    Path("elsewhere/settings.yaml").write_text("gateway: {port: 5}\n")
    Path(".env").write_text("ALGO_CONFIG_DIR=elsewhere\n")

    assert load(environ={}, env_file=Path(".env")).gateway.port == 5


def test_dot_env_is_read_from_the_current_directory_with_the_process_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("ALGO_GATEWAY_PORT", raising=False)
    Path(".env").write_text("export ALGO_GATEWAY_HOST=\"::1\"  # loopback\nALGO_DATA_DIR='a # b'\nOTHER=x\n")

    settings = load()

    assert (settings.gateway.host, settings.data_dir) == ("::1", "a # b")


def test_secrets_come_from_variables_and_files_named_in_yaml(tmp_path: Path):
    write(
        api_keys="""
keys:
  - {id: a, api_key: "${KEY_A}"}
  - {id: b, api_key_file: secret-b}
  - {id: c, api_key: "${KEY_C:-sk-default}"}
  - {id: d, api_key: "a$${b}c"}
""",
        cameras='cameras: [{id: cam-01, source: "rtsp://u:${CAMERA_PASSWORD}@h/"}]\n',
    )
    Path("config/secret-b").write_text("sk-from-file\n")
    Path(".env").write_text("KEY_A=sk-from-dot-env\n")

    settings = load(environ={"CAMERA_PASSWORD": "pw"}, env_file=Path(".env"))

    assert secrets_of(settings) == ["sk-from-dot-env", "sk-from-file", "sk-default", "a${b}c"]
    assert settings.cameras.cameras[0].source.get_secret_value() == "rtsp://u:pw@h/"


def test_a_variable_in_the_environment_stands_over_the_same_in_dot_env_inside_of_yaml():
    write(api_keys='keys: [{id: a, api_key: "${KEY}"}]\n')
    Path(".env").write_text("KEY=sk-dot-env\n")

    assert secrets_of(load(environ={"KEY": "sk-environ"}, env_file=Path(".env"))) == ["sk-environ"]


def test_a_secret_can_be_in_a_file_that_a_variable_names():
    Path("token").write_text("s3cret-token\n")
    Path("url").write_text("redis://:pw@redis/0")

    settings = load(environ={"ALGO_GATEWAY_TOKEN_FILE": "token", "ALGO_REDIS_URL_FILE": "url"})

    assert settings.gateway.token == SecretStr("s3cret-token")
    assert settings.redis.url == SecretStr("redis://:pw@redis/0")


def test_openai_variables_make_one_key_where_none_is_configured():
    write(api_keys="keys: []\n")
    environ = {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "http://localhost:1/v1", "OPENAI_MODEL": "m"}

    loaded = load_with_places(environ=environ)

    (key,) = loaded.settings.llm.keys
    assert (key.id, key.api_key.get_secret_value(), key.base_url, key.model) == (
        "openai",
        "sk-1",
        "http://localhost:1/v1",
        "m",
    )
    assert str(loaded.source_of(("llm", "keys", 0, "api_key"))) == "environment OPENAI_API_KEY"


def test_openai_variables_do_not_change_configured_keys():
    write(api_keys='keys: [{id: a, api_key: "sk-a"}]\n')

    assert secrets_of(load(environ={"OPENAI_API_KEY": "sk-1"})) == ["sk-a"]


def test_an_alias_and_a_merge_key_share_what_keys_have_in_common():
    write(
        api_keys="""
keys:
  - &first {id: a, api_key: sk-a, rpm_limit: 60, model: m}
  - {<<: *first, id: b, api_key: sk-b}
"""
    )

    first, second = load(environ={}).llm.keys

    assert (first.rpm_limit, second.rpm_limit) == (60, 60)
    assert (second.id, second.api_key.get_secret_value()) == ("b", "sk-b")


def test_text_that_yaml_takes_for_a_time_or_a_date_stays_text():
    write(cameras="cameras: [{id: a, source: 10:30, name: 2024-05-01}]\n")

    (camera,) = load(environ={}).cameras.cameras

    assert (camera.source.get_secret_value(), camera.name) == ("10:30", "2024-05-01")


def test_a_gateway_that_others_can_reach_without_a_token_is_a_warning():
    loaded = load_with_places(environ={"ALGO_GATEWAY_HOST": "0.0.0.0", "OPENAI_API_KEY": "sk-1"})

    assert [str(warning.place) for warning in loaded.warnings] == ["environment ALGO_GATEWAY_HOST"]


def test_no_secret_shows_in_what_a_person_may_print_and_logs_mask_it_from_then_on():
    write(
        api_keys='keys: [{id: a, api_key: "canary-key"}]\n',
        settings='gateway: {token: canary-token}\nredis: {url: "redis://:canary-redis@h/0"}\n',
        cameras='cameras: [{id: a, source: "rtsp://u:canary-camera@h/"}]\n',
    )

    loaded = load_with_places(environ={"OTHER": "canary"})

    assert "canary" not in repr(loaded)
    assert "canary" not in mask("canary-key canary-token canary-redis canary-camera")
