"""Ctrl-C is heard, also where Python drops it."""

import os
import signal
import threading

import pytest
from dropped import drop_ctrl_c

from pipelines.interrupts import interrupts_kept

pytestmark = pytest.mark.usefixtures("ctrl_c")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_was_dropped_is_told_when_asked_for():
    with interrupts_kept() as check:
        check()
        drop_ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            check()


def test_one_that_is_not_dropped_is_raised_at_once():
    with interrupts_kept(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass


def test_python_hears_it_again_afterwards():
    with interrupts_kept():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda number, frame: None], ids=["ignored", "another's"])
def test_where_others_hear_it_nothing_changes(handler):
    signal.signal(signal.SIGINT, handler)
    with interrupts_kept() as check:
        os.kill(os.getpid(), signal.SIGINT)
        check()
        assert signal.getsignal(signal.SIGINT) is handler
    assert signal.getsignal(signal.SIGINT) is handler


def test_other_threads_hear_nothing_and_change_nothing():
    heard = []

    def work():
        with interrupts_kept() as check:
            check()
            heard.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [signal.default_int_handler]
