"""The configuration of the article, as a program, is refused for each of its mistakes."""

from __future__ import annotations

import pytest

from tests.policy.examples import Sent, Stub, diagnostics, ids, in_process, violated
from tests.policy.fixtures import article
from tests.policy.test_program import registered
from tests.recording_monitor import record

REFUSED = {
    "N01": "hostnossl beside hostssl is a way in without TLS",
    "N07": "the superuser gets in by a certificate from anywhere",
    "N08": "clients come from everywhere, and the file does not end with reject",
    "N10": "the server's certificate is the clients' authority",
    "N11": "no certificate can be revoked",
    "N14": "nobody sees who connects",
    "N20": "a client's certificate lives for a year",
    "N21": "no certificate is renewed",
    "N23": "certificates say nothing of what they are for",
    "N24": "a leaf is trusted as an authority",
    "N41": "the parameter `ssl` is no switch on RDS",
    "N42": "no version of TLS is pinned",
    "N43": "RDS accepts md5",
    "N46": "rds-db:connect names no server",
    "N50": "which authority signs is left to the account",
    "N60": "the load balancer passes any certificate on",
    "N85": "sslmode=require verifies nobody",
    "P001": "RDS is in the internet",
    "P014": "no IAM authentication",
    "P016": "the server's group does not force TLS",
    "P025": "the master's password is in the program",
    "P032": "the server is in the internet",
    "P033": "anybody on it gets the role's credentials",
    "P044": "the server's key is in user data",
    "P055": "PostgreSQL is open to the internet",
    "P099": "the load balancer offers TLS 1.0",
    "P104": "behind the load balancer there is no TLS",
}


@pytest.fixture(scope="module")
def resources() -> list[Sent]:
    """What the article's program registers."""
    return registered(record(article.program, stack="article"))


def test_the_articles_set_up_is_refused_for_every_one_of_its_mistakes(resources: list[Sent]) -> None:
    found = in_process(resources)
    assert ids(found, "crashed") == set()
    assert set(REFUSED) - ids(found) == set()
    assert set(REFUSED) - violated(diagnostics(Stub(), resources)) == set()


def test_no_message_about_the_article_gives_a_secret_away(resources: list[Sent]) -> None:
    messages = "\n".join(each.message for each in diagnostics(Stub(), resources))
    assert "mypassword" not in messages
    assert "PRIVATE KEY" not in messages
    assert "MIIJ" not in messages
