#!/bin/sh
# A sweep over sources, formats and replay on the headline's data. Run it again after any interruption.
#
#     recipes/sweep/run.sh [STEP ...]      STEP: design run fit report; all in order by default
#     HEADLINE=runs/headline               a headline run with its data, plans, benchmarks and runs/baseline-0
#     WORK=runs/sweep                      where everything is written
#     JOBS=2                               trials side by side
set -eu
here=$(cd "$(dirname "$0")" && pwd)
HEADLINE=$(cd "${HEADLINE:-runs/headline}" && pwd)
WORK=${WORK:-runs/sweep}
mkdir -p "$WORK"
cp "$here"/*.yaml "$WORK/" # a spec's paths begin at its own folder
cd "$WORK"
ln -sfn "$HEADLINE" headline

for step in ${*:-design run fit report}; do
    case $step in
    design) [ -e trials/design.json ] || curate sweep design sweep.yaml --out trials ;;
    run) curate sweep run trials --jobs "${JOBS:-2}" ;;
    fit | report) curate sweep "$step" trials ;;
    *) echo "unknown step: $step" >&2 && exit 2 ;;
    esac
done
