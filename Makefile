# Two commands: `make demo` (everything, end to end) and `make test`. Each installs first if needed.
SHELL := /bin/bash
PYTHON ?= python3.11
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: install wheel lock demo test chaos cluster servers secrets lint bench results pictures docs api released mixed tuned cuhk

# Tests compare our figures with its. It asks for NumPy and OpenCV older than our pins, and runs with them.
OLDER := pysodmetrics==1.6.2

install: $(BIN)/.installed ## make .venv with the pinned packages and the command r2mrf

$(BIN)/.installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps $(OLDER)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

wheel: install ## dist/: the wheel, whose `pip install` is light, and the source archive
	python -c "from setuptools import build_meta as build; build.build_sdist('dist'); build.build_wheel('dist')"

lock: install ## requirements.txt from pyproject.toml; pins that still fit are kept
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --python-version 3.11 --no-header --no-annotate --extra all --extra dev --extra docs pyproject.toml -o requirements.txt

demo: install ## dvc repro over every stage, then where to look
	dvc repro
	python -m pipelines.jobs.demo

WORKERS ?= 2

test: install ## run the tests on two cores (`make test WORKERS=4` for more); a worker that dies ends the run
	pytest -n $(WORKERS) --max-worker-restart=0

chaos: install ## tests that kill, interrupt and mislead real processes: some minutes
	pytest -o faulthandler_timeout=3600 tests/chaos

cluster: install ## tests of jobs on a cluster of real processes while its machines are killed: over ten minutes
	pytest -o faulthandler_timeout=3600 tests/cluster

bench: install ## run all benchmarks, for hours on a quiet machine -> docs/performance.md, docs/scale.md
	python -m benchmarks

results: install ## write docs/results.md from the measured figures (docs/experiments.md names the commands)
	python -m pipelines.jobs.results

pictures: install ## draw the pictures of README.md and docs/method.md again with the released weights
	PYTHONPATH=. python docs/pictures.py

docs: install ## build the documentation as a site (open site/index.html); broken links are errors
	python docs/lines.py
	NO_MKDOCS_2_WARNING=1 mkdocs build

api: docs ## build the reference of the library, a page of that site: site/reference.html

servers: install ## tests against PostgreSQL, S3 and MLflow, and of the registered model over HTTP: some minutes
	pytest -o faulthandler_timeout=3600 tests/servers

secrets: infra/.env ## passwords for infra/compose.yaml

infra/.env:
	umask 077 && for name in DATABASE_PASSWORD STORE_SECRET; do echo $$name=$$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n'); done > $@

PART := python -m pipelines.prepare && python -m pipelines.augment && python -m pipelines.train
# the model as trained is kept beside the calibrated one, which is measured
CALIBRATED = { grep -q logits_times models/r2mrf/model.json || { rm -rf models/trained && cp -r models/r2mrf models/trained \
	&& python -m pipelines.jobs.release models/trained --to models/r2mrf $(1); }; }
PHOTOS ?= $(abspath ../shared/data)

# `cuhk_only` holds back 64 pairs, on which its logits are calibrated; `cuhk_all` trains on these, too.
cuhk: install ## the paper's way: train on CUHK's 604 pairs alone; measure these models and the released weights on its 100
	cd released/cuhk_only && $(PART) && $(call CALIBRATED) && python -m pipelines.evaluate
	cp -ru released/cuhk_only/data released/cuhk_all
	cd released/cuhk_all && $(PART) && $(call CALIBRATED,--like ../cuhk_only/models/r2mrf) && python -m pipelines.evaluate
	rm -rf released/lite/models && mkdir released/lite/models && cp -r r2mrf/weights/lite released/lite/models/r2mrf
	cp -ru released/cuhk_only/data released/lite
	cd released/lite && python -m pipelines.evaluate

# Each part starts from the model of the part before, and takes over its data, so that nothing is rendered twice.
released: install ## train the released weights again, for hours; docs/training.md names the photos and the results
	cd released/rendered && $(PART)
	cp -ru released/rendered/data released/labelled
	cd released/labelled && python -m pipelines.jobs.label && $(PART)
	cp -ru released/labelled/data released/longer
	cd released/longer && $(PART)
	cp -ru released/longer/data released/relabelled
	cd released/relabelled && python -m pipelines.jobs.label && $(PART)
	python -m pipelines.jobs.release released/longer/models/r2mrf released/relabelled/models/r2mrf --shift -1

mixed: install ## train on from the released weights, with CUHK among rendered photographs, and measure on CUHK's 100
	mkdir -p released/others/photos/sharp/unlabelled
	ln -sfn $(PHOTOS)/sharp/voc $(PHOTOS)/sharp/bsds500 released/others/photos/sharp/
	ln -sfn $(PHOTOS)/unlabelled released/others/photos/sharp/unlabelled/images
	ln -sfn $(PHOTOS)/shapes released/others/photos/
	cd released/others && python -m pipelines.jobs.label && python -m pipelines.prepare && python -m pipelines.augment
	cd released/mixed && $(PART) && $(call CALIBRATED) && python -m pipelines.evaluate

tuned: install ## train the released weights further on CUHK's 604 pairs alone, and measure on CUHK's 100
	cd released/tuned && $(PART) && $(call CALIBRATED) && python -m pipelines.evaluate

lint: install ## check style, types, and which room may import which
	ruff check .
	ruff format --check .
	mypy
	lint-imports
