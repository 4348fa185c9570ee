"""`python -m routing.simulation --port …`: a simulated provider, without Django."""

from argparse import ArgumentParser

from routing.simulation import program

parser = ArgumentParser(prog="python -m routing.simulation", description=program.HELP)
program.add_flags(parser)
program.serve(vars(parser.parse_args()), say=print)
