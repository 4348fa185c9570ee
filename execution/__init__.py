"""Hosted models: publish, build and run creators' models, paid by the second."""
