"""The headline experiment: what does ICL tuning buy?

    python -m pipelines.headline recipes/headline/headline.yaml --out runs/headline

One YAML file says what is compared (settings.py). It becomes a list of jobs, each a command to type (plan.py), which run side
by side and are skipped where they are done (running.py), and ends with a table of gains (summary.py).
"""
