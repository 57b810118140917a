"""The checks under /livez and /readyz, as probes of an orchestrator see them."""

from types import SimpleNamespace

import pytest

from petcd.api.http import HttpEndpoints
from petcd.transport.http import HttpRequest


class Answers:
    """Keeps what was answered."""

    def send(self, status, headers, body):
        self.last = status, body


@pytest.fixture
def ask():
    """`ask(target, learner=False, corrupt=False)`: (status, body) of a GET."""

    def ask(target, learner=False, corrupt=False):
        member = SimpleNamespace(
            membership=SimpleNamespace(local=SimpleNamespace(is_learner=learner)),
            alarms=SimpleNamespace(corrupt=corrupt),
        )
        host = SimpleNamespace(member=member, read=lambda finish, context: finish(context, None))
        answers = Answers()
        request = HttpRequest("GET", target, [(b"host", b"x")], b"", "peer")
        HttpEndpoints(host, lambda: b"").handle(request, answers)
        return answers.last

    return ask


def test_a_learner_is_not_ready_and_says_so_in_etcds_words(ask):
    failed = b"[-]non_learner failed: not supported for learner\n\n"
    assert ask("/readyz/non_learner", learner=True) == (503, failed)
    status, body = ask("/readyz", learner=True)
    assert status == 503 and failed.strip() in body
    assert ask("/livez", learner=True) == (200, b"ok\n")


def test_a_check_is_left_out_of_the_whole_but_not_of_itself(ask):
    assert ask("/readyz", corrupt=True)[0] == 503
    assert ask("/readyz?exclude=data_corruption", corrupt=True) == (200, b"ok\n")
    target = "/readyz/data_corruption?exclude=data_corruption"
    assert ask(target, corrupt=True)[0] == 503


@pytest.mark.parametrize("path", ["/livez/", "/readyz//non_learner", "/livez/non_learner"])
def test_only_the_exact_paths_are_checks(ask, path):
    assert ask(path)[0] == 404
