"""The command line: each command is a few lines that call the library.

What must stay true: stdout carries results (with ``--json`` exactly one JSON document), progress,
warnings and logs go to stderr; exit codes are 0 done, 1 some study failed, 2 usage, 3 nothing
readable; nothing heavy is imported before a command needs it.
"""

from lumbargrade.cli import bench as bench
from lumbargrade.cli import compare as compare
from lumbargrade.cli import demo as demo
from lumbargrade.cli import evaluate as evaluate
from lumbargrade.cli import evaluate_views as evaluate_views
from lumbargrade.cli import inspect as inspect
from lumbargrade.cli import locate as locate
from lumbargrade.cli import phantom as phantom
from lumbargrade.cli import phantom_check as phantom_check
from lumbargrade.cli import predict as predict
from lumbargrade.cli import prepare as prepare
from lumbargrade.cli import pretrain_detector as pretrain_detector
from lumbargrade.cli import submit as submit
from lumbargrade.cli import train as train
from lumbargrade.cli import train_detector as train_detector
from lumbargrade.cli.app import app, main

__all__ = ["app", "main"]
