# A guard for a pytest run: after the last test, no more objects of these types may be alive than after the first one.
# Put it beside your tests. The limits are yours; the first argument of each is a type as `pyheap histogram` shows it.
import os
import subprocess

import pytest

RULES = ["--max-growth", "shop.Session=0", "--max-garbage", "50M"]
PYHEAP = os.environ.get("PYHEAP", "pyheap")
BASELINE = os.environ.get("PYHEAP_BASELINE", "pyheap-baseline.parquet")
REPORT = os.environ.get("PYHEAP_REPORT", "pyheap-report.xml")


def allow_pyheap():
    """Where Yama lets only parents look, we let our children do it, too. Without Yama there is nothing to allow."""
    import ctypes
    PR_SET_PTRACER, PR_SET_PTRACER_ANY = 0x59616D61, ctypes.c_ulong(-1)
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)


class Guard:
    def __init__(self):
        self.tests = 0
        self.verdict = None

    def pytest_runtest_logfinish(self):
        self.tests += 1
        # The first test fills caches and imports modules: what is there then is no leak.
        if self.tests == 1:
            subprocess.run([PYHEAP, "snapshot", "-q", "-p", str(os.getpid()), "-o", BASELINE, "-f"],
                           check=True, stdout=subprocess.DEVNULL)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session, exitstatus):
        if self.tests < 2 or exitstatus != 0:
            return
        self.verdict = subprocess.run([PYHEAP, "check", "-p", str(os.getpid()), BASELINE, *RULES, "--junit", REPORT],
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if self.verdict.returncode != 0:
            session.exitstatus = 1

    def pytest_terminal_summary(self, terminalreporter):
        if self.verdict is not None:
            terminalreporter.section("memory")
            terminalreporter.write(self.verdict.stdout)


def pytest_configure(config):
    allow_pyheap()
    config.pluginmanager.register(Guard())
