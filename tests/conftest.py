"""What the tests share: one thread each, and where they find the modules that several of them import."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch when it is imported

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "training")]  # reference.py; tiny.py
