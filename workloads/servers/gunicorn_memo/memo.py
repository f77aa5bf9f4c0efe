"""A price list whose workers remember what they worked out, each for itself.

With `preload_app` the master holds 30,000 articles. A request asks for the totals of thirty of them, any
at random; a worker notes each total on its article and keeps every answer. So pages break by real
writes, which no remedy stops, and fresh memory grows with every request, as in many applications
that cache in the process.
"""

import random

from flask import Flask

ARTICLES = 30_000
ASKED = 30


class Article:
    """Some prices, and their total once somebody asked for it."""

    def __init__(self, number):
        self.number = number
        self.prices = [number * part % 997 + 1_000 for part in range(1, 9)]
        self.total = None


ARTICLE_LIST = [Article(number) for number in range(ARTICLES)]
ANSWERS = []

app = Flask(__name__)


@app.get("/")
def totals():
    """The totals of thirty articles."""
    answer = {}
    for article in random.sample(ARTICLE_LIST, ASKED):
        if article.total is None:
            article.total = sum(article.prices)
        answer[f"article {article.number}"] = f"{article.total} cents"
    ANSWERS.append(answer)
    return answer
