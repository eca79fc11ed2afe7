"""The commands of ``python -m quantlab``, one file each: fit, bits, gguf, load."""

import argparse
import os
import sys

from . import bits, fit, gguf, load

COMMANDS = {"fit": fit, "bits": bits, "gguf": gguf, "load": load}


def parser():
    """Return the parser of the command line, with a page of help for each command."""
    whole = argparse.ArgumentParser(
        prog="python -m quantlab",
        description="How large language models fit in small memory, in a terminal.",
        epilog="Each command has its own page: python -m quantlab fit --help",
    )
    pages = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        page = pages.add_parser(
            name,
            help=module.SHORT,
            description=module.__doc__,
            epilog=module.MORE,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.arguments(page)
    return whole


def main(arguments=None):
    """Run a command and return its exit code: 0, 1 for an answer that is no, 2 for an error.

    arguments: a list of strings; None: those of the command line. An error is one sentence.
    """
    given = parser().parse_args(arguments)
    try:
        code = COMMANDS[given.command].run(given)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # who reads, as `head` does, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"quantlab {given.command}: {error}", file=sys.stderr)
        return 2
