"""The error tree: whole, in its place, and readable by a person."""

from __future__ import annotations

import inspect

import pytest

from tillwire import errors
from tillwire.errors import InvalidRequest, NotDelivered, Proof, TerminalBusy, TillwireError

TREE = {
    "TillwireError": "Exception",
    "ConfigurationError": "TillwireError",
    "InvalidRequest": "TillwireError",
    "NotPermitted": "TillwireError",
    "NotFound": "TillwireError",
    "Conflict": "TillwireError",
    "TerminalBusy": "Conflict",
    "Unsupported": "TillwireError",
    "PeerError": "TillwireError",
    "NotDelivered": "PeerError",
    "AnswerLost": "PeerError",
    "RemoteProtocolError": "PeerError",
    "LocalProtocolError": "TillwireError",
    "JournalError": "TillwireError",
    "JournalBusy": "JournalError",
    "JournalFull": "JournalError",
    "JournalReadOnly": "JournalError",
    "JournalTooNew": "JournalError",
}
"""Each error and its parent."""

ERRORS = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, Exception) and each.__module__ == errors.__name__
]


def test_the_tree_is_complete() -> None:
    assert {each.__name__: each.__base__.__name__ for each in ERRORS if each.__base__} == TREE


@pytest.mark.parametrize("error", ERRORS, ids=lambda each: each.__name__)
def test_a_docstring_is_one_sentence(error: type[TillwireError]) -> None:
    sentence = error.__doc__
    assert sentence is not None
    assert "\n" not in sentence
    assert sentence[0].isupper() or sentence.startswith("tillwire")
    assert sentence.endswith(".")
    assert sentence.count(". ") == 0


def test_a_message_is_the_sentence_and_then_the_occurrence() -> None:
    assert str(errors.NotFound("No terminal is called X.")) == (
        "There is no such thing. No terminal is called X."
    )
    assert str(errors.NotFound()) == "There is no such thing."


def test_an_invalid_request_names_field_problem_and_what_is_allowed() -> None:
    refused = InvalidRequest("amount", "0.00 is not more than zero", "more than 0")
    assert str(refused) == (
        "The request is not valid. amount: 0.00 is not more than zero. Allowed: more than 0."
    )
    assert str(InvalidRequest("type", "it is missing")).endswith("type: it is missing.")


def test_a_busy_terminal_says_who_holds_it_and_since_when() -> None:
    busy = TerminalBusy("It waits for a card.", holder="42", since=1000, unresolved=True)
    assert (busy.holder, busy.since, busy.unresolved) == ("42", 1000, True)


def test_not_delivered_is_a_proof_and_a_lost_answer_is_none() -> None:
    assert NotDelivered("Refused.", Proof.CONNECT_REFUSED).proof is Proof.CONNECT_REFUSED
    assert NotDelivered("Not written.").proof is Proof.NEVER_SENT
    assert not hasattr(errors.AnswerLost("Timed out."), "proof")


def test_the_four_proofs() -> None:
    assert {each.value for each in Proof} == {
        "never_sent",
        "connect_refused",
        "refused_by_peer",
        "absent_at_peer",
    }
