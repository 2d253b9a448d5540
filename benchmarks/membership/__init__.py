"""What membership costs and how quick it is: real processes beside serf, and many in virtual time.

    python -m benchmarks.membership join [--sizes 50] [--runs 5] [--serf] [--json]
    python -m benchmarks.membership crash | idle | byzantine | detect | lifeguard | rapid | stalls

`join`, `crash`, `idle` and `byzantine` start real processes, in a network namespace of their
own if they may (root); `detect`, `lifeguard`, `rapid` and `stalls` are simulated. Above each
table stand the values of the configuration that it was measured with: those of `lan`,
everywhere.
"""
