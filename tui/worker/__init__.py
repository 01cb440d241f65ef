"""The child process that holds one model's weights, computes and measures.

Started as ``python -m tui.worker FD`` with one end of a socketpair as FD. Both ways one
JSON value a line (UTF-8). The parent sends objects:

    {"op": "load", "checkpoint": PATH, "dtype": "bf16|fp16|fp32|int8|int4", "threads": N,
        "context": N or absent, "remote_code": {FILE: SHA256, ...} or absent,
        "batch": answers decoded together at most, 1 if absent}
    {"op": "answer", "requests": [{"answer": ID, "messages": [[role, content], ...],
        "max_new_tokens": N, "sampling": {...}}, ...]}
    {"op": "cancel", "answers": [ID, ...] or null}
    {"op": "threads", "threads": N}
    {"op": "close"}

The child sends ``[t_ns, kind, payload]``: an event of `tui.events` at a time of the
monotonic clock (one clock for all processes of a machine), or ``alive`` each half
second, whose payload counts the steps of the computing thread. Every request ends in
one ``answered``, ``failed`` or ``cancelled``; a load in one ``loaded`` or ``failed``
(answer -1). ``remote_code`` names the checkpoint's Python files that a person agreed to
run, by their hashes; without it none is run. At end of file on the socket the child
exits at once.
"""
