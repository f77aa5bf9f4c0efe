"""What a web worker does to its zygote's heap: a mix of small read-only requests.

The zygote holds a catalogue of 45,000 products with an index by tag. A request looks one product
up, searches a tag, sorts the hits by price and renders JSON; nothing is stored. Every request
touches some dozens of products anywhere in the heap, so the pages break along a curve that is
steep at first and flattens: some 350 pages after one request, 1,700 after ten, 2,600 after a
hundred, 3,400 (13 MiB) after a thousand, all that requests of this kind can reach. That curve is the erosion curve.
"""

import forkprint
import json
import random

TAGS = [f"tag-{number:03d}" for number in range(200)]


def product(number, choice):
    return {
        "sku": f"sku-{number:06d}",
        "title": f"Product number {number} of the catalogue",
        "price": round(choice.uniform(1, 500), 2),
        "stock": choice.randrange(1000),
        "tags": choice.sample(TAGS, 3),
        "reviews": [(choice.randrange(1, 6), f"review {number}-{review}") for review in range(2)],
    }


def build_catalogue():
    choice = random.Random(7)
    return {f"sku-{number:06d}": product(number, choice) for number in range(45_000)}


def build_index(products):
    index = {tag: [] for tag in TAGS}
    for item in products.values():
        for tag in item["tags"]:
            index[tag].append(item)
    return index


catalogue = build_catalogue()
by_tag = build_index(catalogue)
visitors = random.Random(11)


def handle_request():
    wanted = catalogue[f"sku-{visitors.randrange(len(catalogue)):06d}"]
    hits = by_tag[visitors.choice(wanted["tags"])][:200]
    cheapest = sorted(hits, key=lambda item: item["price"])[:20]
    return json.dumps({"product": wanted, "similar": cheapest})


def serve(requests):
    for _ in range(requests):
        handle_request()


@forkprint.step
def first_request():
    serve(1)


@forkprint.step
def ten_requests():
    serve(9)


@forkprint.step
def hundred_requests():
    serve(90)


@forkprint.step
def thousand_requests():
    serve(900)
