"""The LLM scheduler: an assessment task in, exactly one outcome out, within every key's limits.

    scheduler   the seam: ``LLMScheduler.assess(task)``; ``run`` is one task under way
    pictures    the group's picture        prompts   what is asked       chat      on the wire, as OpenAI's
    waiting     who goes first             pool      which key, when     reports   what a call's end means for its key
    client      one call (aiohttp)         failures  how a call fails    verdict   an answer, read strictly
    hedging     a second call for a slow one                             modes     which form of answer
    silence     calls that hang while their key says nothing
    budget      what may be spent; ``spending`` is the book of a day, ``tokens`` the estimate
    cooldowns   what schedulers tell each other; ``sharing`` connects it with the pool
    reloading   a changed api_keys.yaml    replay    a log of calls against other settings

A key's limits: ``limits`` (of calls) and ``token_window``, counted by one process, by those of a host
(``shared_limits``), by Redis for all hosts (``redis_limits``), or found out (``learned_limits``, which ``kept_limits``
keeps). ``seats`` are the calls under way and the one probe of a cooled key, over the processes of a host.

Pure, with time as an argument: limits, token_window, told_limits, learned_limits, pool, strategies, success,
retry_after, tokens, prompts, chat, verdict, cooldowns, replay.
"""
