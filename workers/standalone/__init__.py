"""Mode 1: cameras, gate, scheduler, join and gateway in one process, without Kafka or Redis.

pipeline  the core's stages in the order of the data, in memory
run       puts capture workers, pipeline and gateway together until Ctrl-C or the sources' end
"""
