"""llama.cpp's own HTTP server in this process, out of the package xllamacpp:
python llama_server.py GGUF PORT KEY CONTEXT. Two slots, each with CONTEXT tokens."""

import sys
import time

import xllamacpp

SLOTS = 2


def main(gguf: str, port: str, key: str, context: str) -> None:
    """Serve until the process is ended."""
    given = xllamacpp.CommonParams()
    given.model.path = gguf
    given.model_alias = {"demo"}
    given.hostnames, given.port = ["127.0.0.1"], int(port)
    given.api_keys = [key]
    given.n_parallel, given.n_ctx = SLOTS, SLOTS * int(context)
    given.cpuparams.n_threads = 1
    given.warmup = False
    server = xllamacpp.Server(given)
    print(server.listening_address, flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
