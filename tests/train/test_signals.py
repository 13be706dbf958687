import os
import signal
import threading

import pytest

from train.signals import Asked, Decision, asked_to_stop


class Alone:
    def any(self, flag: bool) -> bool:
        return flag


def test_a_signal_is_heard_and_the_old_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with asked_to_stop() as asked:
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_second_ctrl_c_ends_at_once():
    with asked_to_stop() as asked:
        os.kill(os.getpid(), signal.SIGINT)
        assert asked.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_in_another_thread_no_signal_is_heard():
    heard = []

    def listen() -> None:
        with asked_to_stop() as asked:
            heard.append(asked.signal)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert heard == [0]


def test_a_decision_does_not_change_within_a_step():
    asked = Asked()
    decision = Decision(Alone(), asked)
    assert not decision.wanted(1)
    asked(signal.SIGTERM, None)
    assert not decision.wanted(1)
    assert decision.wanted(2)
