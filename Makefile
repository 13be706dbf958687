# Two commands for a newcomer: `make demo` and `make test`. Both install what they need into .venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test lint bench headline docs clean

demo: $(READY)  ## the main job on real pages and pictures; prints where the report is
	$(BIN)/curate demo --out runs/demo

test: $(READY)  ## all tests that need neither a GPU nor a hub
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: $(READY)  ## style, types, who may import whom, and the documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict --quiet

bench: $(READY)  ## tables of speed beside other tools, in one run each
	$(BIN)/pip install --quiet -c constraints.txt -e '.[bench]'
	for bench in benchmarks/bench_*.py; do echo "== $$bench"; $(BIN)/python $$bench || exit 1; done

# HEADLINE_SMALL=1 rehearses it in minutes; ARGS=--dry-run lists its jobs and hours; run it again and it goes on.
headline: $(READY)  ## the headline experiment: data, benchmarks, trainings, evaluations, report
	$(BIN)/python -m pipelines.headline recipes/headline/headline.yaml $(if $(HEADLINE_SMALL),--over recipes/headline/small.yaml) \
		--out runs/headline$(if $(HEADLINE_SMALL),-small) $(ARGS)

docs: $(READY)  ## the documentation, served locally
	$(BIN)/mkdocs serve

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv site runs
