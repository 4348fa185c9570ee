"""How well the router chooses: a discrete-event simulation that runs the production class under a virtual clock."""
