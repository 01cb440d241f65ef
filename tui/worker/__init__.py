"""The child process that holds one model's weights, computes and measures.

`tui.worker_protocol` says what it is told and what it reports.
"""

from tui.worker import lean_imports

lean_imports.install()
