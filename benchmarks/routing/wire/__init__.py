"""make bench-routing-http: the benchmark's scenarios over real HTTP."""
