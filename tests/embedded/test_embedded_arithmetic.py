"""The generator's problems: every step of both solutions is true, checked without the generator's code."""

from __future__ import annotations

import ast
import itertools
import operator
import re

import pytest

from lit_experiments.embedded import arithmetic

OPERATORS = {ast.Mult: operator.mul, ast.Add: operator.add, ast.Sub: operator.sub}
SIGNS = {"times": operator.mul, "plus": operator.add, "minus": operator.sub}
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def evaluate(node: ast.AST) -> int:
    if isinstance(node, ast.Expression):
        return evaluate(node.body)
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](evaluate(node.left), evaluate(node.right))
    assert isinstance(node, ast.Constant)
    return node.value


def check_split_steps(solution: str) -> int:
    steps = re.findall(r"(\d+) (times|plus|minus) (\d+) is (\d+)", solution)
    for left, sign, right, result in steps:
        assert SIGNS[sign](int(left), int(right)) == int(result), solution
    for number, tens, ones in re.findall(r"plit (\d+) into (\d+) and (\d+)", solution):
        assert int(tens) + int(ones) == int(number)
        assert int(tens) % 10 == 0
    return int(steps[-1][-1])


def check_count_steps(solution: str) -> int:
    last = 0
    for part in re.findall(r"ount (.*?)\.", solution):
        if " by " in part:
            groups = re.findall(r"(\w+) \w+ (\d+)", part.split(": ")[1])
            size = int(groups[0][1])
            assert [(word, int(total)) for word, total in groups] == [
                (WORDS[i], i * size) for i in range(1, len(groups) + 1)
            ]
            last = int(groups[-1][1])
        else:
            number, start, stops = re.match(r"(?:up|down) (\d+) from (\d+): (.*)", part).groups()
            totals = [int(start), *map(int, stops.split(", "))]
            assert abs(totals[-1] - totals[0]) == int(number)
            jumps = [b - a for a, b in itertools.pairwise(totals)]
            sign = 1 if part.startswith("up") else -1
            assert all(jump == sign * 10 for jump in jumps[:-1]), solution
            assert 0 < sign * jumps[-1] <= 10, solution
            last = totals[-1]
    return last


@pytest.fixture(scope="module")
def problems():
    streams = (arithmetic.problems("test", held_out=part) for part in (False, True))
    return [p for stream in streams for p in itertools.islice(stream, 800)]


def test_every_answer_is_what_the_expression_and_the_question_say(problems):
    for p in problems:
        assert evaluate(ast.parse(p.expression, mode="eval")) == p.answer > 0
        numbers = sorted(int(n) for n in re.findall(r"\d+", p.question))
        assert numbers == sorted(p.numbers) == sorted(int(n) for n in re.findall(r"\d+", p.expression))


def test_every_step_of_both_methods_is_true_and_leads_to_the_boxed_answer(problems):
    checks = {"split": check_split_steps, "count": check_count_steps}
    for p in problems:
        assert set(p.solutions) == set(arithmetic.METHODS)
        for method, solution in p.solutions.items():
            assert checks[method](solution) == p.answer
            assert re.search(r"\\boxed\{(\d+)\}$", solution), solution
            assert arithmetic.boxed_answer(solution) == p.answer
            assert arithmetic.method_of(solution) == method


def test_training_and_held_out_problems_never_share_their_numbers(problems):
    training = {(p.kind, p.numbers) for p in problems if not p.held_out}
    held_out = {(p.kind, p.numbers) for p in problems if p.held_out}
    assert len(training) > 500
    assert len(held_out) > 300
    assert training.isdisjoint(held_out)


def test_the_stream_depends_on_its_seed_alone():
    def questions(seed):
        return [p.question for p in itertools.islice(arithmetic.problems(seed, held_out=False), 8)]

    assert questions(1) == questions(1) != questions(2)


def test_the_last_boxed_number_counts_and_none_is_none():
    assert arithmetic.boxed_answer(r"\boxed{1} and \boxed{23}") == 23
    assert arithmetic.boxed_answer("the number is 23") is None
    assert arithmetic.method_of("I think") is None
