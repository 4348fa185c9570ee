"""The host's agent: owns the warm instances of this machine. It lives in the worker's main process."""
