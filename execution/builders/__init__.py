"""How an upload becomes a build: one module per kind of builder, behind the words of `base`."""
