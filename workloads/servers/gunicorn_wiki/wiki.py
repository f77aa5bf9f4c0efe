"""A wiki whose readers follow a Zipf law: few articles are read all the time, most now and then.

With `preload_app` the master holds 40,000 articles and its workers inherit them by fork. No request
changes one, yet each article that a request reads has its reference counts written. So the pages of
popular articles break at once in every worker, those of the others one by one for as long as the
worker lives: memory that erodes, with no end in the first thousand requests.
"""

import random

from flask import Flask

ARTICLES = 40_000
LISTED = 20
WORDS = ("fork", "page", "frame", "copy", "write", "share", "break", "count", "mark", "sweep", "cell")


class Article:
    """A title and some paragraphs, each an object of its own."""

    def __init__(self, number):
        self.title = f"{WORDS[number % 11]} {number}"
        self.paragraphs = [f"{number}.{part}: " + " ".join(WORDS) * 3 for part in range(6)]


WIKI = [Article(number) for number in range(ARTICLES)]

app = Flask(__name__)


def popular():
    """The number of an article, drawn by Zipf's law with exponent 1: its logarithm is uniform."""
    return int(ARTICLES ** random.random()) - 1


@app.get("/")
def portal():
    """Twenty articles, as readers ask for them."""
    articles = [WIKI[popular()] for _ in range(LISTED)]
    return {article.title: sum(map(len, article.paragraphs)) for article in articles}
