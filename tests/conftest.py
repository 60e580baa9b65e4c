"""Two ways to run property tests: `ci` repeats itself exactly, `explore` (`make explore`) looks for new examples."""

import os
import signal

from hypothesis import HealthCheck, settings

settings.register_profile("ci", derandomize=True, database=None, deadline=None, print_blob=True)
settings.register_profile(
    "explore", max_examples=2000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci")

# A shell starts jobs in the background deaf to Ctrl-C, and what they start is too: tests of Ctrl-C would wait for ever.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The networks of the tests are small and the machine is shared: threads that wait for each other are slow on it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
