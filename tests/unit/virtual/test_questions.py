"""What a virtual customer answers, with and without a wish."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire.core.errands import Answer, Ask, ErrandFailed, Question, Trouble
from tillwire.virtual.cardholder import answered
from tillwire.virtual.script import LONGEST_ANSWER

TYPED = (Question.TEXT, Question.DIGITS, Question.DECIMAL, Question.PASSWORD)


@pytest.mark.parametrize(
    ("ask", "wish", "answer"),
    [
        (Ask(Question.ANY_KEY, "?"), "", Answer(confirmed=True)),
        (Ask(Question.CONFIRM, "?"), "", Answer(confirmed=True)),
        (Ask(Question.CONFIRM, "?"), "No", Answer(confirmed=False)),
        (Ask(Question.TEXT, "?"), "", Answer(text="Virtual customer")),
        (Ask(Question.TEXT, "?", longest=7), "", Answer(text="Virtual")),
        (Ask(Question.TEXT, "?", shortest=20), "", Answer(text="Virtual customer Vir")),
        (Ask(Question.TEXT, "?", default="as usual"), "", Answer(text="as usual")),
        (Ask(Question.TEXT, "?", default="as usual", longest=4), "", Answer(text="Virt")),
        (Ask(Question.TEXT, "?", default="as usual"), "other", Answer(text="other")),
        (Ask(Question.DIGITS, "?"), "", Answer(text="1234")),
        (Ask(Question.DIGITS, "?", default="0800"), "", Answer(text="0800")),
        (Ask(Question.DIGITS, "?", default="call me"), "", Answer(text="1234")),
        (Ask(Question.DIGITS, "?", shortest=6, longest=6), "", Answer(text="123456")),
        (Ask(Question.PASSWORD, "?"), "", Answer(text="1234")),
        (Ask(Question.DECIMAL, "?"), "", Answer(text="1")),
        (Ask(Question.DECIMAL, "?", decimals=2), "", Answer(text="1.00")),
        (Ask(Question.DECIMAL, "?", decimals=2, longest=3), "", Answer(text="1.0")),
        (Ask(Question.DECIMAL, "?", decimals=2, longest=2), "", Answer(text="1")),
        (Ask(Question.DECIMAL, "?", decimals=6), "", Answer(text="1.00")),
        (Ask(Question.DECIMAL, "?", decimals=2, shortest=6), "", Answer(text="111.00")),
        (Ask(Question.DECIMAL, "?", decimals=2), "42.5", Answer(text="42.5")),
        (Ask(Question.CHOICE, "?", ("tea", "coffee")), "", Answer(choice=1)),
        (Ask(Question.CHOICE, "?", ("tea", "coffee"), default="coffee"), "", Answer(choice=2)),
        (Ask(Question.CHOICE, "?", ("tea", "coffee"), default="milk"), "", Answer(choice=1)),
        (Ask(Question.CHOICE, "?", ("tea", "coffee"), default="tea"), "2", Answer(choice=2)),
        (Ask(Question.CHOICE, "?", ("tea", "coffee")), "coffee", Answer(choice=2)),
        (Ask(Question.CHOICE, "?", ("tea", "coffee")), "2", Answer(choice=2)),
        (Ask(Question.FUNCTION_KEY, "?"), "", Answer(choice=1)),
        (Ask(Question.FUNCTION_KEY, "?"), "3", Answer(choice=3)),
    ],
)
def test_an_answer_fits_the_question(ask: Ask, wish: str, answer: Answer) -> None:
    assert answered(ask, wish) == answer


@pytest.mark.parametrize(
    ("ask", "wish"),
    [
        (Ask(Question.CHOICE, "?"), ""),
        (Ask(Question.CHOICE, "?", ("tea",)), "2"),
        (Ask(Question.CHOICE, "?", ("tea",)), "0"),
        (Ask(Question.CHOICE, "?", ("tea",)), "9" * 1000),
        (Ask(Question.TEXT, "?", shortest=5, longest=4), ""),
        (Ask(Question.TEXT, "?", shortest=LONGEST_ANSWER + 1), ""),
        (Ask(Question.TEXT, "?", shortest=-1), ""),
        (Ask(Question.TEXT, "?", longest=4), "other"),
        (Ask(Question.DIGITS, "?"), "12a"),
        (Ask(Question.DIGITS, "?"), "١٢"),
        (Ask(Question.DECIMAL, "?"), "1.5"),
        (Ask(Question.DECIMAL, "?", decimals=2), "1.555"),
        (Ask(Question.DECIMAL, "?", decimals=2), "1."),
        (Ask(Question.DECIMAL, "?", decimals=2), "-1"),
    ],
)
def test_what_cannot_be_answered_is_refused(ask: Ask, wish: str) -> None:
    with pytest.raises(ErrandFailed) as failure:
        answered(ask, wish)
    assert failure.value.trouble is Trouble.REFUSED


@given(
    st.sampled_from(TYPED),
    st.text(max_size=20),
    st.integers(0, LONGEST_ANSWER),
    st.integers(0, LONGEST_ANSWER) | st.just(10**12),
    st.integers(0, 10**12),
)
def test_whatever_is_made_up_has_the_right_length(
    question: Question, default: str, shortest: int, more: int, decimals: int
) -> None:
    longest = shortest + more if more else 0
    ask = Ask(question, "?", (), default, shortest, longest, decimals)
    text = answered(ask, "").text
    assert shortest <= len(text) <= (longest or LONGEST_ANSWER)
    assert text
    if question is Question.DIGITS:
        assert text.isdecimal()
    if question is Question.DECIMAL:
        assert len(text.partition(".")[2]) <= decimals
        assert float(text) >= 0
