"""Tests, in the shape of the packages they test.

Their frames are tiny, so that threads would cost more than they save; what must not depend on the
number of threads is tested in a process with two.
"""

import os

os.environ.setdefault("POLARS_MAX_THREADS", "1")
