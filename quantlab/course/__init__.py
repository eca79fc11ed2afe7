"""The course's own machinery: the set-up cell, and exercises that check themselves."""

from quantlab.course.exercise import Exercise, Verdict, check, verdict
from quantlab.course.setup_cell import setup

__all__ = ["Exercise", "Verdict", "check", "setup", "verdict"]
