from __future__ import annotations

from vision_stream.settings import Settings
from vision_stream.topics import TopicSpec, app_id, changelogs, specs


def settings(*, topics: dict[str, dict[str, object]] | None = None, **kafka: object) -> Settings:
    return Settings.model_validate({"kafka": {"topics": topics or {}, **kafka}})


def named(name: str, of: Settings) -> TopicSpec:
    return next(spec for spec in specs(of) if spec.name == name)


def test_there_are_seven_topics_and_a_changelog_for_each_table():
    assert [(spec.name, spec.partitions) for spec in specs(Settings())] == [
        ("detection-results", 16),
        ("assessment-tasks", 16),
        ("risk-assessment-results", 16),
        ("camera-assessments", 16),
        ("camera-status", 16),
        ("camera-commands", 1),
        ("dead-letters", 16),
        ("vision-stream-camera_state-changelog", 16),
        ("vision-stream-key_cooldowns-changelog", 1),
        ("vision-stream-pending_assessments-changelog", 16),
    ]


def test_services_of_different_roles_are_different_groups_with_their_own_tables():
    alone = Settings(stream_roles=("result_aggregator",))
    two = Settings(stream_roles=("llm_scheduler", "task_generator"))
    assert app_id(alone) == "vision-stream-result_aggregator"
    assert app_id(two) == "vision-stream-task_generator.llm_scheduler"  # however they are listed
    assert [spec.name for spec in changelogs(alone)] == [
        "vision-stream-result_aggregator-pending_assessments-changelog"
    ]
    assert app_id(Settings(stream_roles=("result_aggregator", "llm_scheduler", "task_generator"))) == "vision-stream"


def test_topics_that_meet_nowhere_may_have_their_own_number():
    found = named("dead-letters", settings(topics={"dead_letters": {"name": "dead-letters", "partitions": 1}}))
    assert found.partitions == 1


def test_an_hours_retention_closes_segments_within_the_hour():
    config = named("detection-results", Settings()).config
    assert config["retention.ms"] == "3600000"
    assert int(config["segment.ms"]) == 900_000


def test_states_are_compacted_and_a_lost_camera_goes_in_the_end():
    assert named("camera-status", Settings()).config["cleanup.policy"] == "compact,delete"
    assert named("vision-stream-camera_state-changelog", Settings()).config["cleanup.policy"] == "compact"


def test_a_camera_stays_stopped_however_long_ago_that_was_said():
    assert named("camera-commands", Settings()).config["cleanup.policy"] == "compact"


def test_a_cluster_takes_a_message_when_two_of_three_have_it():
    assert {spec.config["min.insync.replicas"] for spec in specs(settings(replication_factor=3))} == {"2"}
    assert {spec.config["min.insync.replicas"] for spec in specs(Settings())} == {"1"}
