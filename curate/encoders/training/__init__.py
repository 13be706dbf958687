"""How the head of the offline encoder is made and judged: `python -m curate.encoders.training --data DIR`."""
