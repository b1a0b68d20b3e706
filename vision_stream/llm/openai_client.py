"""The second adapter: the official openai client, one per key. It takes a second to import: import it late.

It cannot tell when a request goes out: ``sent`` is never called.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import openai

from vision_stream.llm.chat import Answer, Request, read_completion, request_body
from vision_stream.llm.client import MAX_ANSWER, Sent, completions_url, proxy_for, unheard
from vision_stream.llm.failures import CallFailed, from_status
from vision_stream.settings import KeySettings


class OpenAIClient:
    def __init__(self) -> None:
        self._clients: dict[str, openai.AsyncOpenAI] = {}

    async def complete(self, key: KeySettings, request: Request, *, timeout_s: float, sent: Sent = unheard) -> Answer:
        try:
            async with asyncio.timeout(timeout_s):
                raw: Any = await self._client(key).chat.completions.with_raw_response.create(**request_body(request))
        except openai.APIStatusError as error:
            raise from_status(
                error.status_code,
                error.response.headers,
                error.response.content,
                now=time.time(),
                secret=key.api_key.get_secret_value(),
            ) from None
        except (TimeoutError, openai.APITimeoutError) as error:
            raise CallFailed("timeout", f"no answer within {timeout_s:.1f} s") from error
        except openai.APIConnectionError as error:
            raise CallFailed("connection", f"the connection failed: {type(error.__cause__).__name__}") from error
        if len(raw.content) > MAX_ANSWER:
            raise CallFailed("unreadable", f"an answer of more than {MAX_ANSWER} bytes", status=200)
        return read_completion(raw.content)

    def _client(self, key: KeySettings) -> openai.AsyncOpenAI:
        if key.id not in self._clients:
            proxy = proxy_for(completions_url(key.base_url))
            self._clients[key.id] = openai.AsyncOpenAI(
                api_key=key.api_key.get_secret_value(),
                base_url=key.base_url,
                max_retries=0,  # the pool decides what is tried again, and on which key
                timeout=None,
                http_client=openai.DefaultAsyncHttpxClient(proxy=proxy, trust_env=False, follow_redirects=False),
            )
        return self._clients[key.id]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        self._clients.clear()
