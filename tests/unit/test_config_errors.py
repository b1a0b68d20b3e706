"""What a person reads when the configuration is wrong: place, field, found, allowed, remedy; word for word."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from vision_stream.config import InvalidConfig, load
from vision_stream.settings import KeySettings

# id, file, content, the error
FILES = [
    (
        "out of bounds",
        "api_keys.yaml",
        b'keys:\n  - {id: key-001, api_key: "sk-canary-1", rpm_limit: 0}\n',
        """\
        config/api_keys.yaml:2:54
          field:   keys[0].rpm_limit
          found:   0
          allowed: a whole number, above 0 and at most 1000000, or nothing
          remedy:  correct it, or remove it for the default""",
    ),
    (
        "wrong type",
        "kafka.yaml",
        b"scheduler:\n  max_concurrent_tasks: many\n",
        """\
        config/kafka.yaml:2:25
          field:   scheduler.max_concurrent_tasks
          found:   many
          allowed: a whole number, at least 1 and at most 2000
          remedy:  correct it, or remove it for the default (50)""",
    ),
    (
        "truth for a number",
        "kafka.yaml",
        b"replication_factor: yes\n",
        """\
        config/kafka.yaml:1:21
          field:   replication_factor
          found:   true
          allowed: a whole number, at least 1 and at most 10
          remedy:  correct it, or remove it for the default (1)""",
    ),
    (
        "a number for text",
        "cameras.yaml",
        b"cameras:\n- {id: 7, source: 0}\n",
        """\
        config/cameras.yaml:2:8
          field:   cameras[0].id
          found:   7
          allowed: text, letters, digits, `_`, `.` and `-`, the first a letter or digit, at most 100 characters
          remedy:  put it in quotes""",
    ),
    (
        "no value",
        "model.yaml",
        b"confidence:\n",
        """\
        config/model.yaml:1:1
          field:   confidence
          found:   nothing
          allowed: a number, at least 0 and at most 1
          remedy:  correct it, or remove it for the default (0.35)""",
    ),
    (
        "infinite",
        "settings.yaml",
        b"clustering: {max_distance_px: .inf}\n",
        """\
        config/settings.yaml:1:31
          field:   clustering.max_distance_px
          found:   inf
          allowed: a number, above 0
          remedy:  correct it, or remove it for the default (150.0)""",
    ),
    (
        "choice",
        "api_keys.yaml",
        b"selection_strategy: least-loaded\n",
        """\
        config/api_keys.yaml:1:21
          field:   selection_strategy
          found:   least-loaded
          allowed: one of least_loaded, round_robin, weighted
          remedy:  write least_loaded""",
    ),
    (
        "what may be a secret on a line that is not its own",
        "api_keys.yaml",
        b"selection_strategy: canary-9f2kQ07xTz31m\n",
        """\
        config/api_keys.yaml:1:21
          field:   selection_strategy
          found:   text (not shown)
          allowed: one of least_loaded, round_robin, weighted
          remedy:  write one of these""",
    ),
    (
        "a user and password in an endpoint's URL",
        "api_keys.yaml",
        b"keys: [{id: a, api_key: sk-canary-1, base_url: 'https://user:canary@llm.example/v1'}]\n",
        """\
        config/api_keys.yaml:1:48
          field:   keys[0].base_url
          found:   https://llm.example/v1
          allowed: text, an http:// or https:// URL without user and password
          remedy:  correct it, or remove it for the default (https://api.openai.com/v1)""",
    ),
    (
        "unknown name",
        "monitoring.yaml",
        b"prometheus: {scrape_intervall: 15s}\n",
        """\
        config/monitoring.yaml:1:32
          field:   prometheus.scrape_intervall
          found:   an unknown name
          allowed: host, port, scrape_interval
          remedy:  write scrape_interval""",
    ),
    (
        "unknown name, unlike any",
        "monitoring.yaml",
        b"grafana: {}\n",
        """\
        config/monitoring.yaml:1:10
          field:   grafana
          found:   an unknown name
          allowed: prometheus, watchdog, tracing
          remedy:  remove it""",
    ),
    (
        "missing",
        "api_keys.yaml",
        b"keys:\n  - id: key-001\n",
        """\
        config/api_keys.yaml:2:5
          field:   keys[0].api_key
          found:   nothing
          allowed: text, not empty
          remedy:  add `api_key: ...`""",
    ),
    (
        "duplicate name",
        "kafka.yaml",
        b"app_id: a\nreplication_factor: 1\napp_id: b\n",
        """\
        config/kafka.yaml:3:1
          field:   app_id
          found:   twice; first on line 1
          allowed: each name once
          remedy:  remove one of the two""",
    ),
    (
        "duplicate key id",
        "api_keys.yaml",
        b"keys:\n- {id: key-001, api_key: sk-canary-1}\n- {id: key-001, api_key: sk-canary-2}\n",
        """\
        config/api_keys.yaml:3:8
          field:   keys[1].id
          found:   key-001, as in keys[0]
          allowed: each id once
          remedy:  rename one""",
    ),
    (
        "duplicate camera id",
        "cameras.yaml",
        b"cameras:\n- {id: cam-01, source: 0}\n- {id: cam-01, source: 1}\n",
        """\
        config/cameras.yaml:3:8
          field:   cameras[1].id
          found:   cam-01, as in cameras[0]
          allowed: each id once
          remedy:  rename one""",
    ),
    (
        "cooldowns the wrong way round",
        "api_keys.yaml",
        b"cooling: {min_cooldown: 90, max_cooldown: 60}\n",
        """\
        config/api_keys.yaml:1:25
          field:   cooling.min_cooldown
          found:   min_cooldown 90 above max_cooldown 60
          allowed: min_cooldown up to max_cooldown
          remedy:  lower min_cooldown, or raise max_cooldown""",
    ),
    (
        "a deadline above its task's, one of them a default",
        "kafka.yaml",
        b"scheduler: {task_deadline_s: 10}\n",
        """\
        config/kafka.yaml:1:30
          field:   scheduler.task_deadline_s
          found:   call_deadline_s 25 above task_deadline_s 10
          allowed: call_deadline_s up to task_deadline_s
          remedy:  lower call_deadline_s, or raise task_deadline_s""",
    ),
    (
        "partitions of topics that meet",
        "kafka.yaml",
        b"topics: {assessment_tasks: {partitions: 8}}\n",
        """\
        config/kafka.yaml:1:41
          field:   topics.assessment_tasks.partitions
          found:   detection_results 16, assessment_tasks 8, risk_assessment_results 16, camera_assessments 16
          allowed: the same number for these topics, as they meet in one table
          remedy:  give all of them the same number of partitions""",
    ),
    (
        "a topic's name twice",
        "kafka.yaml",
        b"topics: {dead_letters: {name: camera-status}}\n",
        """\
        config/kafka.yaml:1:31
          field:   topics.dead_letters.name
          found:   camera-status twice
          allowed: a name of its own for each topic
          remedy:  rename one""",
    ),
    (
        "a picture that ends before its task",
        "kafka.yaml",
        b"scheduler: {task_deadline_s: 400}\n",
        """\
        config/kafka.yaml:1:30
          field:   scheduler.task_deadline_s
          found:   evidence_ttl_s 300 below task_deadline_s 400
          allowed: evidence_ttl_s of at least task_deadline_s: a task needs its picture
          remedy:  raise redis.evidence_ttl_s, or lower kafka.scheduler.task_deadline_s""",
    ),
    (
        "one port for two",
        "settings.yaml",
        b"gateway: {port: 9090}\n",
        """\
        config/settings.yaml:1:17
          field:   gateway.port
          found:   9090 for gateway.port and monitoring.prometheus.port
          allowed: two ports
          remedy:  change one of them""",
    ),
    (
        "a scheme before a broker",
        "kafka.yaml",
        b'bootstrap_servers: ["kafka://localhost:9092"]\n',
        """\
        config/kafka.yaml:1:21
          field:   bootstrap_servers[0]
          found:   kafka://localhost:9092
          allowed: text, host:port, without a scheme
          remedy:  correct it""",
    ),
    (
        "a section of another file",
        "settings.yaml",
        b"kafka: {app_id: a}\n",
        """\
        config/settings.yaml:1:8
          field:   kafka
          found:   a section of another file
          remedy:  move it to config/kafka.yaml""",
    ),
    (
        "a variable that is not set",
        "api_keys.yaml",
        b'keys:\n- {id: key-001, api_key: "${LLM_KEY}"}\n',
        """\
        config/api_keys.yaml:2:26
          field:   keys[0].api_key
          found:   ${LLM_KEY}, and no variable LLM_KEY in the environment or .env
          remedy:  set LLM_KEY, or write ${LLM_KEY:-default}""",
    ),
    (
        "a variable without quotes in a flow mapping",
        "api_keys.yaml",
        b"keys:\n- {id: key-001, api_key: ${LLM_KEY}}\n",
        """\
        config/api_keys.yaml:2:27
          found:   ${...} without quotes
          allowed: valid YAML
          remedy:  write "${NAME}", with quotes, inside { }""",
    ),
    (
        "a key file that is not there",
        "api_keys.yaml",
        b"keys:\n- {id: key-001, api_key_file: secrets/key}\n",
        """\
        config/api_keys.yaml:2:31
          field:   keys[0].api_key_file
          found:   config/secrets/key, which cannot be read
          allowed: a text file with the key
          remedy:  correct the path (it starts at the YAML file's directory), or the permissions""",
    ),
    (
        "a secret of the wrong type",
        "settings.yaml",
        b"gateway: {token: [canary]}\n",
        """\
        config/settings.yaml:1:18
          field:   gateway.token
          found:   a list
          allowed: text, or nothing
          remedy:  correct it, or remove it for the default""",
    ),
    (
        "a secret where a list belongs",
        "api_keys.yaml",
        b"keys: sk-canary-12345678\n",
        """\
        config/api_keys.yaml:1:7
          field:   keys
          found:   text (not shown)
          allowed: a list; each item a mapping with KEY_FIELDS
          remedy:  correct it, or remove it for the default""",
    ),
    (
        "a tab",
        "monitoring.yaml",
        b"prometheus:\n\tport: 1\n",
        """\
        config/monitoring.yaml:2:1
          found:   a tab in the indentation
          allowed: spaces
          remedy:  replace the tab by spaces""",
    ),
    (
        "a bracket that is not closed",
        "kafka.yaml",
        b'bootstrap_servers: ["a:1", "b:1"\napp_id: x\n',
        """\
        config/kafka.yaml:2:1
          found:   expected ',' or ']', but got '<scalar>'
          allowed: valid YAML
          remedy:  check brackets, quotes and the indentation, here and above""",
    ),
    (
        "a quote that is not closed",
        "kafka.yaml",
        b'app_id: "x\n',
        """\
        config/kafka.yaml:2:1
          found:   a quote that is never closed
          allowed: valid YAML
          remedy:  close it""",
    ),
    (
        "a Python tag",
        "model.yaml",
        b"path: !!python/object/apply:os.system [canary]\n",
        """\
        config/model.yaml:1:7
          field:   path
          found:   a YAML tag (`!`)
          allowed: plain YAML
          remedy:  remove the tag; put text that starts with `!` in quotes""",
    ),
    (
        "an alias of nothing",
        "api_keys.yaml",
        b"keys:\n- {id: a, api_key: *canary}\n",
        """\
        config/api_keys.yaml:2:20
          found:   an alias (`*`) that nothing defines
          allowed: valid YAML
          remedy:  put text that starts with `*` in quotes""",
    ),
    (
        "an alias that contains itself",
        "kafka.yaml",
        b"bootstrap_servers: &a [*a]\n",
        """\
        config/kafka.yaml:1:20
          found:   lists or mappings nested more than 20 deep
          allowed: at most 20 levels
          remedy:  write it flatter; an alias must not contain itself""",
    ),
    (
        "a bomb of aliases",
        "kafka.yaml",
        b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(8)),
        """\
        config/kafka.yaml:1:8
          field:   e[1][5][2][3][0]
          found:   more than 20_000 values, aliases followed
          allowed: at most 20_000
          remedy:  remove aliases (`*name`)""",
    ),
    (
        "deep nesting",
        "kafka.yaml",
        b"a: " + b"[" * 5000 + b"]" * 5000,
        """\
        config/kafka.yaml:1:23
          found:   lists or mappings nested more than 20 deep
          allowed: at most 20 levels
          remedy:  write it flatter; an alias must not contain itself""",
    ),
    (
        "an empty file",
        "kafka.yaml",
        b"",
        """\
        config/kafka.yaml:1:1
          found:   an empty file
          allowed: a mapping
          remedy:  write {} for all defaults, or delete the file""",
    ),
    (
        "a list at the top",
        "cameras.yaml",
        b"- {id: cam-01, source: 0}\n",
        """\
        config/cameras.yaml:1:1
          found:   a list at the top
          allowed: a mapping (`name: value`)
          remedy:  write one setting a line as `name: value`""",
    ),
    (
        "two documents",
        "kafka.yaml",
        b"app_id: a\n---\napp_id: b\n",
        """\
        config/kafka.yaml:2:1
          found:   a second document (`---`)
          allowed: valid YAML
          remedy:  remove the line `---`""",
    ),
    (
        "no UTF-8",
        "cameras.yaml",
        "cameras:\n- {id: a, name: Kreuzung Süd}\n".encode("latin-1"),
        """\
        config/cameras.yaml:2:27
          found:   byte 0xfc, which is not UTF-8
          allowed: UTF-8 text
          remedy:  save the file as UTF-8""",
    ),
    (
        "a control character",
        "kafka.yaml",
        b"app_id: a\x00b\n",
        """\
        config/kafka.yaml:1:10
          found:   the control character U+0000
          allowed: printable text
          remedy:  remove the character""",
    ),
    (
        "a name that is passed over",
        "api-keys.yml",
        b"keys: []\n",
        """\
        config/api-keys.yml
          found:   a name that no configuration file has
          allowed: settings.yaml, api_keys.yaml, kafka.yaml, monitoring.yaml, cameras.yaml, model.yaml
          remedy:  rename it to api_keys.yaml""",
    ),
]


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "config").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def worded(expected: str) -> str:
    return dedent(expected).replace("KEY_FIELDS", ", ".join(KeySettings.model_fields))


def error_of(**arguments) -> InvalidConfig:
    with pytest.raises(InvalidConfig) as caught:
        load(**{"environ": {}, **arguments})
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize(("file", "content", "expected"), [row[1:] for row in FILES], ids=[row[0] for row in FILES])
def test_a_wrong_file_is_explained_in_five_lines(file: str, content: bytes, expected: str):
    Path("config", file).write_bytes(content)

    error = error_of()

    assert str(error) == worded(expected)
    assert all(len(str(problem).splitlines()) <= 5 for problem in error.problems)
    assert "canary" not in str(error)
    assert "canary" not in f"{error.__context__}"


VARIABLES = [
    (
        "unknown, like another",
        {"ALGO_ENABLE_KAFKA_STREAMIMG": "true"},
        """\
        environment ALGO_ENABLE_KAFKA_STREAMIMG
          found:   ALGO_ENABLE_KAFKA_STREAMIMG, which no setting has
          allowed: ALGO_ names of settings (docs/configuration.md)
          remedy:  write ALGO_ENABLE_KAFKA_STREAMING""",
    ),
    (
        "lower case",
        {"algo_enable_redis": "false"},
        """\
        environment algo_enable_redis
          found:   algo_enable_redis, which no setting has
          allowed: ALGO_ names of settings (docs/configuration.md)
          remedy:  write ALGO_ENABLE_REDIS""",
    ),
    (
        "unknown, unlike any",
        {"ALGO_X": "canary"},
        """\
        environment ALGO_X
          found:   ALGO_X, which no setting has
          allowed: ALGO_ names of settings (docs/configuration.md)
          remedy:  unset it""",
    ),
    (
        "wrong type",
        {"ALGO_ENABLE_REDIS": "maybe"},
        """\
        environment ALGO_ENABLE_REDIS
          field:   enable_redis
          found:   maybe
          allowed: true or false, or nothing
          remedy:  correct it, or unset it for the default""",
    ),
    (
        "item of a list",
        {"ALGO_STREAM_ROLES": "task_generator,scheduler"},
        """\
        environment ALGO_STREAM_ROLES
          field:   stream_roles[1]
          found:   scheduler
          allowed: one of task_generator, llm_scheduler, result_aggregator
          remedy:  write llm_scheduler""",
    ),
    (
        "no JSON",
        {"ALGO_LLM_KEYS": "[{id: canary}]"},
        """\
        environment ALGO_LLM_KEYS
          field:   llm.keys
          found:   text that is no JSON list
          allowed: a list; each item a mapping with KEY_FIELDS
          remedy:  write ALGO_LLM_KEYS='[...]' with valid JSON in it""",
    ),
    (
        "a secret's file that is not there",
        {"ALGO_GATEWAY_TOKEN_FILE": "no-such-file"},
        """\
        environment ALGO_GATEWAY_TOKEN_FILE
          field:   gateway.token
          found:   no-such-file: no such file or directory
          allowed: a readable text file
          remedy:  correct the path, or the file's permissions""",
    ),
    (
        "a secret and its file",
        {"ALGO_GATEWAY_TOKEN_FILE": "no-such-file", "ALGO_GATEWAY_TOKEN": "canary"},
        """\
        environment ALGO_GATEWAY_TOKEN_FILE
          field:   gateway.token
          found:   both ALGO_GATEWAY_TOKEN and ALGO_GATEWAY_TOKEN_FILE
          allowed: one of the two
          remedy:  unset ALGO_GATEWAY_TOKEN""",
    ),
    (
        "a file for what is no secret",
        {"ALGO_GATEWAY_PORT_FILE": "x"},
        """\
        environment ALGO_GATEWAY_PORT_FILE
          found:   ALGO_GATEWAY_PORT_FILE, which no setting has
          allowed: ALGO_ names of settings (docs/configuration.md)
          remedy:  write ALGO_GATEWAY_PORT""",
    ),
    (
        "a directory that is not there",
        {"ALGO_CONFIG_DIR": "nowhere"},
        """\
        nowhere
          found:   no such directory
          allowed: a directory with the YAML files
          remedy:  correct --config-dir or ALGO_CONFIG_DIR, or unset it""",
    ),
]


@pytest.mark.parametrize(("environ", "expected"), [row[1:] for row in VARIABLES], ids=[row[0] for row in VARIABLES])
def test_a_wrong_variable_is_explained(environ: dict[str, str], expected: str):
    error = error_of(environ=environ)

    assert str(error) == worded(expected)
    assert "canary" not in str(error)


def test_a_wrong_line_of_dot_env_is_explained_with_its_place():
    Path(".env").write_text("# ours\n\nALGO_GATEWAY_PORT=http\nALGO_GATEWAY_HOSTS=x\nOTHER=1\nnonsense here\n")

    error = error_of(env_file=Path(".env"))

    assert str(error) == dedent("""\
        .env:3:1 ALGO_GATEWAY_PORT
          field:   gateway.port
          found:   http
          allowed: a whole number, at least 0 and at most 65535
          remedy:  correct it, or unset it for the default (8000)
        .env:4:1 ALGO_GATEWAY_HOSTS
          found:   ALGO_GATEWAY_HOSTS, which no setting has
          allowed: ALGO_ names of settings (docs/configuration.md)
          remedy:  write ALGO_GATEWAY_HOST
        .env:6:1
          found:   a line that is no NAME=value
          allowed: NAME=value
          remedy:  write NAME=value; put a value with spaces, # or quotes in quotes""")


def test_all_problems_of_all_files_are_reported_at_once_and_the_first_ten_in_full():
    Path("config/kafka.yaml").write_text("app_id: a b\nscheduler: {max_concurrent_tasks: 0, deadline: 1}\n")
    Path("config/model.yaml").write_text("".join(f"unknown_{number}: 1\n" for number in range(10)))

    error = error_of()

    assert len(error.problems) == 13
    assert str(error).count("remedy:") == 10
    assert str(error).endswith("\n... and 3 more")


def test_a_problem_with_the_command_line_says_so():
    error = error_of(overrides={"gateway.port": 70000, "gateway": {"hosts": "x"}})

    assert [(str(problem.place), problem.field) for problem in error.problems] == [
        ("command line", "gateway.port"),
        ("command line", "gateway.hosts"),
    ]


def test_an_expanded_value_is_shown_as_it_was_written_not_as_the_secret_that_it_became():
    Path("config/kafka.yaml").write_text('replication_factor: "${SECRET}"\n')

    error = error_of(environ={"SECRET": "canary"})

    assert "found:   ${SECRET}" in str(error)
    assert "canary" not in str(error)


@pytest.mark.parametrize("line", ["canary-9f2kQ07xTz31m", "canary 9f2k", "export canary-9f2k", "canary:9f2k"])
def test_a_line_of_dot_env_without_a_name_is_not_repeated(line: str):
    Path(".env").write_text(f"{line}\n")
    with pytest.raises(InvalidConfig) as caught:
        load(environ={}, env_file=Path(".env"))
    assert ".env:1:1" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_directory_in_the_place_of_a_file_is_explained():
    Path("config/kafka.yaml").mkdir()

    assert "config/kafka.yaml\n  found:   is a directory" in str(error_of())


def test_a_path_that_can_be_none_is_explained():
    Path("config/api_keys.yaml").write_text('keys: [{id: a, api_key_file: "a\\0b"}]\n')

    assert "field:   keys[0].api_key_file" in str(error_of())
