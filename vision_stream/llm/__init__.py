"""The LLM scheduler: an assessment task in, exactly one outcome out, within every key's limits.

    scheduler   the seam: ``LLMScheduler.assess(task)``; ``run`` is one task under way
    pictures    the group's picture        prompts   what is asked       chat      on the wire, as OpenAI's
    waiting     who goes first             pool      which key, when     reports   what a call's end means for its key
    client      one call (aiohttp)         failures  how a call fails    verdict   an answer, read strictly
    cooldowns   what schedulers tell each other; ``sharing`` connects it with the pool

Pure, with time as an argument: limits, pool, strategies, success, retry_after, prompts, chat, verdict, cooldowns.
"""
