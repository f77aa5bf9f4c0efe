# make demo   measure every built-in workload and leave a gallery in reports/
# make test   everything that must hold
# make lint   formatting, clippy, documentation
# make ci     what CI runs: lint and test
# make bench  the speed bounds, as ratios
# make wheel  the Python package, one wheel for CPython 3.9 and later, in dist/

PYTHON ?= python3
CARGO  ?= cargo
VENV   := target/venv

# libpython of this interpreter is linked into the binary.
export PYO3_PYTHON ?= $(shell command -v $(PYTHON))
export FORKPRINT_TEST_PYTHON ?= $(abspath $(VENV)/bin/python)

.PHONY: demo test test-rust test-python lint ci bench wheel build clean

build:
	$(CARGO) build --release

demo: build $(VENV)/ready
	target/release/forkprint demo --python $(VENV)/bin/python --force -o reports

test: test-rust test-python

# One process a test where cargo-nextest is installed, as the tests like it best.
test-rust: $(VENV)/ready
	@if $(CARGO) nextest --version >/dev/null 2>&1; \
	then echo $(CARGO) nextest run; $(CARGO) nextest run; \
	else echo $(CARGO) test; $(CARGO) test; fi
	$(CARGO) test --doc

# Installs a wheel, built without optimisation as the Rust tests are, into a virtual environment of
# every CPython found, and tests it there.
test-python: $(VENV)/ready
	rm -rf target/test-wheel
	MATURIN_PEP517_ARGS="--profile dev" \
	    $(VENV)/bin/python -m pip wheel --quiet --no-deps --wheel-dir target/test-wheel .
	$(VENV)/bin/python tests/python/each_cpython.py target/test-wheel

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --lib --quiet

ci: lint test

bench: $(VENV)/ready
	$(CARGO) bench

wheel: $(VENV)/ready
	rm -rf dist
	$(VENV)/bin/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist

# Of the newest CPython on which all remedies work, where one is found: objects can be immortal on
# 3.12 and later. It need not be the one that the binary embeds.
$(VENV)/ready:
	"$$($(PYTHON) tests/python/cpythons.py 12 13 || command -v $(PYTHON))" -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check gunicorn flask psutil
	touch $@

clean:
	$(CARGO) clean
	rm -rf dist
