"""How hard Hypothesis looks for counter-examples, chosen by HYPOTHESIS_PROFILE.

`default` at the desk, `ci` wherever CI is set (the same examples every time, so a red run is
about the change), `nightly` for the long search.
"""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

# `nohup` and jobs in the background make children ignore Ctrl-C; ours must hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "default",
    max_examples=100,
    deadline=None,  # a slow example is a matter for benchmarks, on a busy machine for nobody
    print_blob=True,
)
settings.register_profile(
    "ci",
    settings.get_profile("default"),
    derandomize=True,
    database=None,
)
settings.register_profile(
    "nightly",
    settings.get_profile("default"),
    max_examples=10_000,
    suppress_health_check=[HealthCheck.too_slow],  # it has the whole night
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default")
)
