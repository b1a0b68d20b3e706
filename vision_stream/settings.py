"""What can be set, in one typed place: a section a file of ``config/``, unit in the name, bounds, one sentence each.

Every leaf has one environment name: ``ALGO_`` and its path joined by ``_``, as ``ALGO_KAFKA_BOOTSTRAP_SERVERS`` or
``ALGO_KAFKA_SCHEDULER_MAX_CONCURRENT_TASKS``. ``vision_stream.config`` reads files and environment into it and says
where an error stands; this module only declares.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from vision_stream.polygons import LEAST_AREA, area, crossing

Role = Literal["task_generator", "llm_scheduler", "result_aggregator"]
ROLES: tuple[Role, ...] = ("task_generator", "llm_scheduler", "result_aggregator")
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]

Server = Annotated[str, Field(pattern=r"^([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?$")]


class Section(BaseModel):
    # Input hidden: a validation error that somebody prints must not show an API key.
    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and bool not in (annotation, *get_args(annotation)):
            raise ValueError("true and false are no numbers")  # `yes` is true in YAML, and pydantic reads true as 1
        return value


def contradiction(*paths: tuple[str | int, ...], found: str, allowed: str, remedy: str) -> PydanticCustomError:
    """The error of a check that looks at several settings; ``paths`` start below its section, most telling first."""
    told = {"paths": paths, "found": found, "allowed": allowed, "remedy": remedy}
    return PydanticCustomError("contradiction", "{found}; {allowed}: {remedy}", told)


def _repeated(names: Iterable[str]) -> str | None:
    """A name that is there twice."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _check_pair(certificate_file: str | None, key_file: str | None) -> None:
    """Raise where a certificate has no key, or a key no certificate."""
    if bool(certificate_file) == bool(key_file):
        return
    there, missing = ("certificate_file", "key_file") if certificate_file else ("key_file", "certificate_file")
    raise contradiction(
        (missing,),
        (there,),
        found=f"no {missing} beside the other of the two",
        allowed="certificate_file and key_file, or neither",
        remedy=f"set {missing}",
    )


class TopicSettings(Section):
    name: Name = Field(description="of the topic in Kafka")
    partitions: int = Field(
        default=16, ge=1, le=1000, description="raising it later changes which partition a camera is in"
    )
    retention_s: int = Field(default=3600, ge=60, description="how long Kafka keeps a message")


MEETING = ("detection_results", "assessment_tasks", "risk_assessment_results", "camera_assessments")


class TopicsSettings(Section):
    """All topics that meet in an agent or a table have the same number of partitions."""

    detection_results: TopicSettings = TopicSettings(name="detection-results", retention_s=3600)
    assessment_tasks: TopicSettings = TopicSettings(name="assessment-tasks", retention_s=2 * 3600)
    risk_assessment_results: TopicSettings = TopicSettings(name="risk-assessment-results", retention_s=24 * 3600)
    camera_assessments: TopicSettings = TopicSettings(name="camera-assessments", retention_s=24 * 3600)
    camera_status: TopicSettings = TopicSettings(name="camera-status", retention_s=7 * 24 * 3600)
    camera_commands: TopicSettings = TopicSettings(name="camera-commands", partitions=1, retention_s=24 * 3600)
    dead_letters: TopicSettings = TopicSettings(name="dead-letters", retention_s=7 * 24 * 3600)

    @model_validator(mode="after")
    def _meet(self) -> TopicsSettings:
        names = {field: getattr(self, field).name for field in type(self).model_fields}
        if twice := _repeated(names.values()):
            *_, field = (field for field, name in names.items() if name == twice)
            raise contradiction(
                (field, "name"), found=f"{twice} twice", allowed="a name of its own for each topic", remedy="rename one"
            )
        counts = {field: getattr(self, field).partitions for field in MEETING}
        if len(set(counts.values())) > 1:
            usual = Counter(counts.values()).most_common(1)[0][0]
            raise contradiction(
                *((field, "partitions") for field in sorted(MEETING, key=lambda field: counts[field] == usual)),
                found=", ".join(f"{field} {count}" for field, count in counts.items()),
                allowed="the same number for these topics, as they meet in one table",
                remedy="give all of them the same number of partitions",
            )
        return self


class SchedulerSettings(Section):
    max_concurrent_tasks: int = Field(default=50, ge=1, le=2000, description="LLM calls in flight in one worker")
    task_deadline_s: float = Field(
        default=30.0, gt=0, le=600, description="from capture; later, a task expires uncalled"
    )
    call_deadline_s: float = Field(
        default=25.0,
        gt=0,
        lt=60,
        description="one task's LLM calls, retries and waiting included; under Faust's broker_rebalance_timeout",
    )

    @model_validator(mode="after")
    def _in_order(self) -> SchedulerSettings:
        if self.call_deadline_s > self.task_deadline_s:
            raise contradiction(
                ("call_deadline_s",),
                ("task_deadline_s",),
                found=f"call_deadline_s {self.call_deadline_s:g} above task_deadline_s {self.task_deadline_s:g}",
                allowed="call_deadline_s up to task_deadline_s",
                remedy="lower call_deadline_s, or raise task_deadline_s",
            )
        return self


class KafkaSecuritySettings(Section):
    """How brokers know us, and we them. ``ssl`` is TLS."""

    protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        default="plaintext", description="as the brokers' listener; ssl is TLS, sasl a user and a password"
    )
    ca_file: str | None = Field(
        default=None, description="PEM of who signed the brokers' certificates; none: the system's"
    )
    certificate_file: str | None = Field(default=None, description="PEM of our own certificate, where brokers want one")
    key_file: str | None = Field(default=None, description="PEM of its key, without a passphrase")
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="how the password is proven under sasl_..."
    )
    username: str | None = Field(default=None, description="under sasl_...")
    password: SecretStr | None = Field(default=None, description="under sasl_...")

    @property
    def uses_tls(self) -> bool:
        return self.protocol in ("ssl", "sasl_ssl")

    @property
    def uses_sasl(self) -> bool:
        return self.protocol in ("sasl_plaintext", "sasl_ssl")

    @model_validator(mode="after")
    def _complete(self) -> KafkaSecuritySettings:
        if self.uses_sasl and not (self.username and self.password):
            missing = "username" if not self.username else "password"
            raise contradiction(
                (missing,),
                ("protocol",),
                found=f"protocol {self.protocol} without a {missing}",
                allowed="both, under sasl_plaintext and sasl_ssl",
                remedy=f"set {missing} (ALGO_KAFKA_SECURITY_{missing.upper()})",
            )
        _check_pair(self.certificate_file, self.key_file)
        if (self.ca_file or self.certificate_file) and not self.uses_tls:
            raise contradiction(
                ("protocol",),
                ("ca_file",),
                ("certificate_file",),
                found=f"protocol {self.protocol} with certificates",
                allowed="ssl or sasl_ssl",
                remedy="set protocol: ssl, or sasl_ssl with a user",
            )
        return self


class KafkaSettings(Section):
    """config/kafka.yaml"""

    bootstrap_servers: tuple[Server, ...] = Field(
        default=("localhost:9092",), min_length=1, description="host:port of brokers"
    )
    app_id: Name = Field(default="vision-stream", description="prefix of consumer groups and changelog topics")
    security: KafkaSecuritySettings = KafkaSecuritySettings()
    replication_factor: int = Field(default=1, ge=1, le=10, description="3 on a cluster")
    connect_timeout_s: float = Field(default=60.0, gt=0, le=3600, description="how long a start waits for the broker")
    session_timeout_s: float = Field(
        default=6.0, ge=1, le=300, description="silence after a kill before others take over"
    )
    shutdown_s: float = Field(
        default=20.0, ge=0, le=300, description="at a worker's end, how long its running LLM calls may take to end"
    )
    topics: TopicsSettings = TopicsSettings()
    scheduler: SchedulerSettings = SchedulerSettings()


class RedisSettings(Section):
    url: SecretStr = Field(default=SecretStr("redis://localhost:6379/0"), description="may hold a password")
    latest_ttl_s: int = Field(default=300, ge=1, description="camera:{id}:latest")
    alerts_kept: int = Field(default=100, ge=1, le=10_000, description="alerts:{id}")
    evidence_ttl_s: int = Field(default=300, ge=30, description="a group's picture; outlives the task's deadline")
    frame_ttl_s: int = Field(default=30, ge=1, description="a camera's newest frame")
    timeout_s: float = Field(default=1.0, gt=0, le=30, description="one command")


def check_ids(field: str, ids: list[str], *, key: str = "id") -> None:
    """Raise where two items of the list ``field`` have one id, which is their ``key``."""
    if twice := _repeated(ids):
        first = ids.index(twice)
        second = ids.index(twice, first + 1)
        raise contradiction(
            (field, second, key),
            found=f"{twice}, as in {field}[{first}]",
            allowed=f"each {key} once",
            remedy="rename one",
        )


class KeySettings(Section):
    """One API key of config/api_keys.yaml."""

    id: Name = Field(description="in logs and metrics, instead of the key")
    api_key: SecretStr = Field(min_length=1, description="the key, or ${NAME} of an environment variable")
    base_url: str = Field(
        default="https://api.openai.com/v1",
        pattern=r"^https?://[^\s@/]+(/\S*)?$",
        description="of any OpenAI-compatible endpoint",
    )
    model: str = Field(default="gpt-4o-mini", description="the model's name at that endpoint; it must take pictures")
    priority: int = Field(default=1, ge=1, le=100, description="weight under selection_strategy: weighted")
    qps_limit: float | None = Field(default=None, gt=0, le=10_000, description="calls a second; none: not limited")
    rpm_limit: int | None = Field(default=None, gt=0, le=1_000_000, description="calls a minute; none: not limited")
    tpm_limit: int | None = Field(
        default=None, ge=1000, le=1_000_000_000, description="tokens a minute, pictures included; none: not limited"
    )
    max_concurrent: int | None = Field(
        default=None, ge=1, le=2000, description="calls in flight, of all workers; none: not limited"
    )
    enabled: bool = Field(default=True, description="false: the key rests")


class CoolingSettings(Section):
    min_cooldown: float = Field(default=5.0, gt=0, le=3600, description="seconds, after a key's first failure")
    max_cooldown: float = Field(default=60.0, gt=0, le=86_400, description="seconds, however often it fails")

    @model_validator(mode="after")
    def _in_order(self) -> CoolingSettings:
        if self.min_cooldown > self.max_cooldown:
            raise contradiction(
                ("min_cooldown",),
                ("max_cooldown",),
                found=f"min_cooldown {self.min_cooldown:g} above max_cooldown {self.max_cooldown:g}",
                allowed="min_cooldown up to max_cooldown",
                remedy="lower min_cooldown, or raise max_cooldown",
            )
        return self


class PriceSettings(Section):
    """What a model of config/api_keys.yaml costs, in any one currency."""

    model: str = Field(description="as in keys")
    input_per_million: float = Field(ge=0, description="a million tokens of prompts and pictures")
    output_per_million: float = Field(ge=0, description="a million tokens of answers")


class BudgetSettings(Section):
    per_day: float | None = Field(default=None, gt=0, description="of all cameras, in the prices' currency; UTC")
    per_camera_per_day: float | None = Field(default=None, gt=0, description="of each camera")


class LLMSettings(Section):
    """config/api_keys.yaml"""

    keys: tuple[KeySettings, ...] = Field(default=(), description="none: OPENAI_API_KEY is one, where it is set")
    selection_strategy: Literal["least_loaded", "round_robin", "weighted"] = Field(
        default="least_loaded", description="which of the free keys is next; weighted: by priority"
    )
    cooling: CoolingSettings = CoolingSettings()
    request_timeout_s: float = Field(default=15.0, gt=0, lt=60, description="one HTTP request")
    max_attempts: int = Field(default=3, ge=1, le=10, description="LLM calls for one task")
    limit_jitter_s: float = Field(
        default=0.025,
        ge=0,
        le=1,
        description="by which a request's way to the provider varies, and a hundredth of a window at least; more: "
        "fewer 429s, less of qps_limit used",
    )
    learn_limits: bool = Field(
        default=False,
        description="begin with few calls for keys without any limit, and find their provider's limits out",
    )
    hedging: bool = Field(
        default=False,
        description="call another key too where one takes unusually long, and take the first answer; 2 % more calls",
    )
    limits_backend: Literal["auto", "redis", "file", "local"] = Field(
        default="auto",
        description="where limits are counted: by Redis for all hosts, in files for the processes of a host, or by "
        "each process for its share; auto: redis where Redis is on, else file",
    )
    limits_share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="a process's share of each limit: under local, and under redis until Redis was first reached",
    )
    require_picture: bool = Field(
        default=True, description="false: a group without a picture is judged by its text alone, for load tests"
    )
    max_output_tokens: int = Field(default=400, ge=16, le=8192, description="of one answer")
    prices: tuple[PriceSettings, ...] = Field(default=(), description="of the keys' models, for budget and metrics")
    budget: BudgetSettings = BudgetSettings()

    @model_validator(mode="after")
    def _ids_differ(self) -> LLMSettings:
        check_ids("keys", [key.id for key in self.keys])
        return self

    @model_validator(mode="after")
    def _a_budget_has_prices(self) -> LLMSettings:
        if self.budget.per_day is None and self.budget.per_camera_per_day is None:
            return self
        priced = {price.model for price in self.prices}
        for position, key in enumerate(self.keys):
            if key.enabled and key.model not in priced:
                raise contradiction(
                    ("keys", position, "model"),
                    ("prices",),
                    found=f"a budget, but no price for {key.model}",
                    allowed="a price for each model that a budget is to hold",
                    remedy="add the model to prices, or remove budget",
                )
        return self


class ClusteringSettings(Section):
    max_distance_px: float = Field(
        default=150.0, gt=0, description="between box centres at 1080 lines; scaled with the frame"
    )
    min_group_size: int = Field(default=2, ge=1, le=100, description="objects; what has fewer is no group")
    single_people: bool = Field(default=False, description="a lone person is a group of one too")


Redacted = Literal["faces", "plates"]


class EvidenceSettings(Section):
    redact: tuple[Redacted, ...] = Field(
        default=(), description="painted over in every picture before it leaves; plates: all text (extra: redaction)"
    )


class GatingSettings(Section):
    cooldown_s: float = Field(default=2.0, ge=0, description="between two requests of one camera")
    reassess_after_s: float = Field(default=10.0, gt=0, description="an unchanged group's verdict is old after this")
    reassess_high_after_s: float = Field(default=3.0, gt=0, description="the same where the last verdict was high")
    max_groups_per_request: int = Field(
        default=5, ge=1, le=50, description="LLM calls that one detection can cause; the most urgent groups first"
    )


class AlertSettings(Section):
    min_level: Literal["low", "medium", "high"] = Field(default="high", description="the verdict that opens an alert")
    resolve_after_s: float = Field(default=20.0, gt=0, description="without confirmation; above reassess_high_after_s")


class GatewaySettings(Section):
    host: str = Field(default="127.0.0.1", description="loopback unless set")
    port: int = Field(default=8000, ge=0, le=65535, description="of dashboard, REST and WebSocket; 0: a free one")
    token: SecretStr | None = Field(
        default=None, description="wanted as `Authorization: Bearer` or `?token=` where set"
    )
    allowed_origins: tuple[str, ...] = Field(default=(), description="of browsers, beside the gateway's own")
    certificate_file: str | None = Field(
        default=None, description="PEM of the gateway's certificate and its chain: https and wss instead of http and ws"
    )
    key_file: str | None = Field(default=None, description="PEM of its key, without a passphrase")
    camera_control: bool = Field(
        default=False, description="cameras can be started and stopped over the API and on the dashboard"
    )
    max_api_cameras: int = Field(
        default=16, ge=0, le=1000, description="cameras that the API alone describes; 0: it starts configured ones only"
    )

    @model_validator(mode="after")
    def _certificate_has_a_key(self) -> GatewaySettings:
        _check_pair(self.certificate_file, self.key_file)
        return self


TopicPrefix = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", max_length=100)]


class MqttSettings(Section):
    """Counts, events, alerts and states for an MQTT broker: needs the extra ``mqtt``; see docs/mqtt.md"""

    enabled: bool = Field(
        default=False, description="`vision-stream run` tells the broker; `vision-stream mqtt` always"
    )
    host: str = Field(default="localhost", pattern=r"^[A-Za-z0-9_.:-]+$", description="of the broker")
    port: int = Field(default=1883, ge=1, le=65535, description="of the broker; under TLS usually 8883")
    username: str | None = Field(default=None, description="none: without")
    password: SecretStr | None = Field(default=None, description="of the username")
    tls: bool = Field(default=False, description="encrypted, and the broker's certificate is checked")
    ca_file: str | None = Field(
        default=None, description="PEM of who signed the broker's certificate; none: the system's"
    )
    certificate_file: str | None = Field(default=None, description="PEM of our own certificate, where brokers want one")
    key_file: str | None = Field(default=None, description="PEM of its key, without a passphrase")
    client_id: Name = Field(default="vision-stream", description="each connection to a broker needs its own")
    prefix: TopicPrefix = Field(default="vision-stream", description="of all topics; one Vision Stream's own")
    discovery: bool = Field(default=True, description="Home Assistant finds the cameras by itself")
    discovery_prefix: TopicPrefix = Field(default="homeassistant", description="as in Home Assistant's MQTT settings")
    lost_after_s: float = Field(
        default=5.0, ge=0, le=3600, description="an object out of sight for so long has its end event"
    )
    max_waiting: int = Field(
        default=1000, ge=1, le=1_000_000, description="events and alerts that wait for the broker; the oldest go first"
    )

    @model_validator(mode="after")
    def _agree(self) -> MqttSettings:
        _check_pair(self.certificate_file, self.key_file)
        if (self.ca_file or self.certificate_file) and not self.tls:
            raise contradiction(
                ("tls",),
                ("ca_file",),
                ("certificate_file",),
                found="certificates without TLS",
                allowed="tls: true",
                remedy="set tls: true, and the port that speaks it (8883)",
            )
        if self.password is not None and not self.username:
            raise contradiction(
                ("username",),
                ("password",),
                found="a password without a username",
                allowed="both, or neither",
                remedy="set username (ALGO_MQTT_USERNAME)",
            )
        return self


class PrometheusSettings(Section):
    host: str = Field(
        default="127.0.0.1", description="address of /metrics, /healthz and /readyz; 0.0.0.0 in a container"
    )
    port: int = Field(default=9090, ge=0, le=65535, description="first port tried for /metrics of a process; 0: off")
    scrape_interval: str = Field(
        default="15s", pattern=r"^\d+(ms|s|m)$", description="for Prometheus's own configuration; no process reads it"
    )


class WatchdogSettings(Section):
    """Ends a worker that makes no progress, and a capture worker whose detector hangs, with exit code 4: its supervisor
    starts it again."""

    enabled: bool = Field(default=True, description="false: a worker without progress goes on")
    after_s: float = Field(
        default=30.0,
        ge=1,
        le=3600,
        description="without progress, while the broker answers, or of one look at pictures, before the worker ends",
    )


class TracingSettings(Section):
    """OpenTelemetry traces: needs the extra ``tracing``. Headers, certificates and compression are OpenTelemetry's own
    variables (OTEL_EXPORTER_OTLP_...)."""

    enabled: bool = Field(default=False, description="one trace from a frame to its push; see docs/tracing.md")
    endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^@\s]+$",
        description="a collector's OTLP over HTTP; none: OTEL_EXPORTER_OTLP_ENDPOINT, else http://localhost:4318",
    )
    sample_ratio: float = Field(default=1.0, ge=0, le=1, description="of the frames; what follows is as its frame")


class MonitoringSettings(Section):
    """config/monitoring.yaml"""

    prometheus: PrometheusSettings = PrometheusSettings()
    watchdog: WatchdogSettings = WatchdogSettings()
    tracing: TracingSettings = TracingSettings()


class ModelSettings(Section):
    """config/model.yaml"""

    backend: Literal["onnx", "ultralytics"] = Field(
        default="onnx", description="onnx: ONNX Runtime, light; ultralytics: every format, with torch, AGPL-3.0"
    )
    path: str = Field(
        default="demo", description="a model file; demo: the shipped one, trained on simulated scenes only"
    )
    confidence: float = Field(default=0.35, ge=0, le=1, description="boxes below it are dropped")
    iou: float = Field(default=0.5, gt=0, le=1, description="overlap above which the weaker of two boxes is dropped")
    classes: tuple[str, ...] = Field(default=(), description="names to keep; none: all")
    threads: int = Field(
        default=0,
        ge=0,
        le=256,
        description="of one inference on a CPU (onnx), and so many at once as cores allow; "
        "0: as few as answer in 0.1 s",
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d{1,2})?)$",
        description="auto: a GPU where there is one; one that is asked for and not there is an error",
    )
    half: bool = Field(
        default=False,
        description="16-bit arithmetic on a GPU (ultralytics); an ONNX model has the precision of its export",
    )
    max_batch: int = Field(
        default=0,
        ge=0,
        le=256,
        description="pictures of several cameras looked at together; 0: 16 on a GPU, 4 on a CPU, 1 on one thread of it",
    )
    batch_wait_ms: float = Field(
        default=0.0, ge=0, le=1000, description="an idle device waits so long for a batch to fill; 0: it begins at once"
    )
    allow_code: bool = Field(default=False, description="load a .pt, which can run code of whoever made it")
    sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9A-Fa-f]{64}$",
        description="the model file must have it; needed for what can run code",
    )


Share = Annotated[float, Field(ge=0, le=1)]
MOST_POINTS = 50  # of a zone; what needs more was drawn by a machine


class ZoneSettings(Section):
    name: str = Field(min_length=1, max_length=60, description="in messages and on the dashboard; told to the LLM")
    kind: Literal["include", "exclude", "carriageway"] = Field(
        description="include: only what stands in such a zone counts; exclude: what stands in it does not; "
        "carriageway: where vehicles drive"
    )
    points: tuple[tuple[Share, ...], ...] = Field(
        description="corners in order, x and y as shares of the picture: [0, 0] is upper left, [1, 1] lower right"
    )

    @field_validator("points")
    @classmethod
    def _an_area(cls, points: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
        pairs = "two numbers: x and y"
        for index, point in enumerate(points):
            if len(point) != 2:
                found = f"{len(point)} numbers"
                raise contradiction((index,), found=found, allowed=pairs, remedy="write it as [0.25, 0.8]")
        if not 3 <= len(points) <= MOST_POINTS:
            allowed = f"3 to {MOST_POINTS} points"
            raise contradiction((), found=f"{len(points)} points", allowed=allowed, remedy="give the zone's corners")
        if crossed := crossing(points):
            found = "the lines after points {} and {}, which cross".format(*crossed)
            allowed = "corners in the order of a walk around the zone"
            raise contradiction((crossed[1],), found=found, allowed=allowed, remedy="put the points in order")
        if area(points) < LEAST_AREA:
            raise contradiction((), found="points on one line", allowed="an area", remedy="move them apart")
        return points


class CameraSettings(Section):
    id: Name = Field(description="in messages, logs and metrics")
    source: SecretStr = Field(description="file, directory, URL, webcam index or sim:scene; may hold a password")
    name: str = Field(default="", description="for people; none: the id")
    fps: float = Field(default=2.0, gt=0, le=60, description="pictures a second that are looked at")
    prompt_profile: str = Field(default="default", description="which prompt the LLM gets")
    enabled: bool = Field(default=True, description="false: the camera is not watched")
    frozen_s: float | None = Field(
        default=60.0, ge=5, description="a stream or webcam with the very same picture for so long is opened again"
    )
    rtsp_transport: Literal["tcp", "udp"] = Field(
        default="tcp", description="udp for a camera that has no other; it loses packets, and a firewall stops it"
    )
    zones: tuple[ZoneSettings, ...] = Field(default=(), description="parts of the picture with a meaning")

    @field_validator("source", mode="before")
    @classmethod
    def _webcam_index(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _zone_names_differ(self) -> CameraSettings:
        check_ids("zones", [zone.name for zone in self.zones], key="name")
        return self


class CamerasSettings(Section):
    """config/cameras.yaml"""

    cameras: tuple[CameraSettings, ...] = Field(default=(), description="that run and capture watch without --source")
    api_networks: tuple[str, ...] = Field(
        default=("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
        description="where cameras may be whose source comes over the API; never loopback, link-local, "
        "multicast and cloud metadata addresses",
    )

    @field_validator("api_networks")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for index, text in enumerate(networks):
            try:
                ip_network(text)
            except ValueError:
                allowed, remedy = "addresses with a prefix length", "write it as 10.20.0.0/16"
                raise contradiction((index,), found="no network", allowed=allowed, remedy=remedy) from None
        return networks

    @model_validator(mode="after")
    def _ids_differ(self) -> CamerasSettings:
        check_ids("cameras", [camera.id for camera in self.cameras])
        return self


class Settings(Section):
    enable_kafka_streaming: bool = Field(default=False, description="false: one process, no infrastructure")
    enable_redis: bool | None = Field(default=None, description="none: as enable_kafka_streaming")
    stream_roles: tuple[Role, ...] = Field(
        default=ROLES, min_length=1, description="the agents that a Faust worker runs"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="what is less is left out"
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto: JSON where stderr is no terminal"
    )
    data_dir: str = Field(default="var", description="where processes keep files")
    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    llm: LLMSettings = LLMSettings()
    clustering: ClusteringSettings = ClusteringSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    gating: GatingSettings = GatingSettings()
    alerts: AlertSettings = AlertSettings()
    gateway: GatewaySettings = GatewaySettings()
    mqtt: MqttSettings = MqttSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    model: ModelSettings = ModelSettings()
    cameras: CamerasSettings = CamerasSettings()

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        self._pictures_outlive_tasks()
        self._alerts_outlive_assessments()
        if self.gateway.port and self.gateway.port == self.monitoring.prometheus.port:
            raise contradiction(
                ("gateway", "port"),
                ("monitoring", "prometheus", "port"),
                found=f"{self.gateway.port} for gateway.port and monitoring.prometheus.port",
                allowed="two ports",
                remedy="change one of them",
            )
        return self

    def _pictures_outlive_tasks(self) -> None:
        ttl, deadline = self.redis.evidence_ttl_s, self.kafka.scheduler.task_deadline_s
        if ttl < deadline:
            raise contradiction(
                ("redis", "evidence_ttl_s"),
                ("kafka", "scheduler", "task_deadline_s"),
                found=f"evidence_ttl_s {ttl:g} below task_deadline_s {deadline:g}",
                allowed="evidence_ttl_s of at least task_deadline_s: a task needs its picture",
                remedy="raise redis.evidence_ttl_s, or lower kafka.scheduler.task_deadline_s",
            )

    def _alerts_outlive_assessments(self) -> None:
        silent, again = self.alerts.resolve_after_s, self.gating.reassess_high_after_s
        if silent <= again:
            raise contradiction(
                ("alerts", "resolve_after_s"),
                ("gating", "reassess_high_after_s"),
                found=f"resolve_after_s {silent:g}, not above reassess_high_after_s {again:g}",
                allowed="resolve_after_s above reassess_high_after_s: else alerts end between two looks",
                remedy="raise alerts.resolve_after_s, or lower gating.reassess_high_after_s",
            )

    @property
    def redis_enabled(self) -> bool:
        return self.enable_kafka_streaming if self.enable_redis is None else self.enable_redis
