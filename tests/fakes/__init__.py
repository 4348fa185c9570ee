"""Stand-ins for outside services, over real sockets."""
