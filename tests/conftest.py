"""How hard Hypothesis looks for counter-examples, chosen by HYPOTHESIS_PROFILE.

`default` at the desk, `ci` wherever CI is set (the same examples every time, so a red run is
about the change), `nightly` for the long search.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

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
