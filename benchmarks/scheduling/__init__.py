"""make bench-hosting-scheduler: the decisions of execution/scheduling and execution/scaling on 1,000 simulated GPUs."""
