"""Where a run goes, what makes room for it, and which run is next: pure decisions, the clock comes in as seconds.

`seats` decides inside one host, `hosts` between hosts, `turns` what a worker that has become free takes. The agent and
the services ask them, and so does `make bench-hosting-scheduler`.
"""
