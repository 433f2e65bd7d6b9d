"""A pytest plugin: when a test ends its worker process, the run ends at once and names the test.

Left to itself, pytest-xdist hands all files of the dead worker to the others once more, those that are done too; a
worker that gets one of these waits for ever, since nothing in it is left to report. Together with
faulthandler_timeout, which writes all stacks and ends the worker, no test can stall the suite.
"""

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    if not error:
        return
    session = node.config.pluginmanager.getplugin("dsession")
    assigned = session.sched.assigned_work.get(node, {}) if session.sched else {}
    running = next((test for file in assigned.values() for test, done in file.items() if not done), None)
    if running:
        session.handle_crashitem(running, node)
    pytest.exit(f"{node.gateway.id} died ({error}) in {running or 'no test'}", returncode=1)
