"""Does the pipeline work, and how fast: what ``scripts/test_streaming_pipeline.py`` sends, watches and concludes.

seen         what came by on the topics, noted by stage; pure
verdict      from that: the latency table, and what is wrong; pure
topics_tail  reads the topics, without a group
modes        the three: end to end, producer, consumer
stand_alone  a Kafka, a worker and an LLM simulator of its own, for a machine where nothing runs yet
"""
