"""Two replicas of a GGUF model behind one address, by Ray Serve: python ray_demo.py GGUF PORT.

It needs `ray[serve]` in an environment of its own, and xllamacpp there (`tests/peers.txt`). Each
replica holds a server of llama.cpp in its process and passes the OpenAI protocol through.
"""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import ray
import xllamacpp
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from ray import serve

SLOTS, CONTEXT = 4, 512
app = FastAPI()


@serve.deployment(
    num_replicas=2,
    max_ongoing_requests=SLOTS,
    ray_actor_options={"num_cpus": 0.5},
    health_check_period_s=2,
)
@serve.ingress(app)
class Replica:
    """One copy of the model."""

    def __init__(self, gguf: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = int(probe.getsockname()[1])
        given = xllamacpp.CommonParams()
        given.model.path = gguf
        given.model_alias = {"demo"}
        given.hostnames, given.port = ["127.0.0.1"], port
        given.n_parallel, given.n_ctx = SLOTS, SLOTS * CONTEXT
        given.cpuparams.n_threads = 1
        given.warmup = False
        self._server = xllamacpp.Server(given)
        self._url = f"http://127.0.0.1:{port}/v1"

    @app.get("/v1/models")
    async def models(self) -> dict[str, Any]:
        """The one model, and the process that says so."""
        return {"object": "list", "data": [{"id": "demo", "owned_by": str(os.getpid())}]}

    @app.post("/v1/chat/completions")
    async def chat(self, request: Request) -> StreamingResponse:
        """Pass a question and its answer through."""
        body = await request.body()
        return StreamingResponse(self._stream(body), media_type="text/event-stream")

    async def _stream(self, body: bytes) -> AsyncIterator[bytes]:
        headers = {"Content-Type": "application/json"}
        async with aiohttp.ClientSession() as session:
            asked = session.post(f"{self._url}/chat/completions", data=body, headers=headers)
            async with asked as answer:
                async for chunk in answer.content.iter_any():
                    yield chunk


def main(gguf: str, port: str) -> None:
    """Serve until the process is ended."""
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 << 20)
    serve.start(http_options={"host": "127.0.0.1", "port": int(port)})
    serve.run(Replica.bind(gguf), name="demo", route_prefix="/")
    print("ready", flush=True)
    asyncio.run(asyncio.sleep(86_400))


if __name__ == "__main__":
    main(*sys.argv[1:])
