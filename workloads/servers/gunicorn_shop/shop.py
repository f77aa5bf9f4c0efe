"""A shop whose catalogue is built at import, and never changed afterwards.

With `preload_app` the master builds 200,000 products and its workers inherit them by fork. Every
route only reads. Yet each product that a request looks at has its reference count written, in the
same page as the product, so the kernel copies that page for that worker: after a few searches a
worker holds a private copy of most of the catalogue, whose bytes are the master's (ghost pages).

On CPython 3.12 with three workers 75 of 141 MiB break in each, 95 % of that ghosts, and the family
grows from 147 to 370 MiB. `gc.freeze()` gives nothing back here, because no collection breaks these
pages (gevent workers do collect when they start); immortal reference counts do.
"""

from flask import Flask, abort

PRODUCTS = 200_000
COLOURS = ("red", "green", "blue", "black", "white", "orange", "violet")
THINGS = ("chair", "table", "lamp", "shelf", "clock", "mirror", "rug", "vase", "stool", "bench")


class Product:
    """One thing for sale. Has a `__dict__`, like the models of most applications."""

    def __init__(self, number):
        self.number = number
        self.name = f"{COLOURS[number % 7]} {THINGS[number % 10]} {number}"
        self.price = 100 + number * 37 % 9_900
        self.tags = [COLOURS[number % 7], THINGS[number % 10], f"lot-{number // 100}"]
        self.stock = {"shop": number % 17, "store": number % 251 + 1_000}


CATALOGUE = [Product(number) for number in range(PRODUCTS)]

app = Flask(__name__)


@app.get("/")
def front_page():
    """The hundred products of the day: touches one page in two hundred."""
    return {"today": [product.name for product in CATALOGUE[::2_000]]}


@app.get("/product/<int:number>")
def product_page(number):
    """One product: touches a page or two."""
    if number >= PRODUCTS:
        abort(404)
    product = CATALOGUE[number]
    return {"name": product.name, "price": product.price, "stock": product.stock["shop"]}


@app.get("/search/<int:number>")
def search(number):
    """Scans the whole catalogue for a lot: touches nearly every page, changes none."""
    lot = f"lot-{number}"
    found = [product.name for product in CATALOGUE if lot in product.tags and product.stock["store"]]
    return {"found": len(found), "first": found[:10]}
