#!/bin/sh
# A sweep over sources, formats and replay on the headline's data. Run it again after any interruption.
#
#     recipes/sweep/run.sh [STEP ...]      STEP: design run next confirm fit report; all in order by default
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

more() { # KIND ARGUMENTS: trials of that kind, added once
    grep -q "\"$1\"" trials/design.json || curate sweep design trials "--$1" "$2" # a kind stands in each of its trials
    curate sweep run trials --jobs "${JOBS:-2}"
}

for step in ${*:-design run next confirm fit report}; do
    case $step in
    design) [ -e trials/design.json ] || curate sweep design sweep.yaml --out trials ;;
    run) curate sweep run trials --jobs "${JOBS:-2}" ;;
    next) more next 6 ;;
    confirm) more confirm 2 ;; # the prior and the two best mixes, three fresh seeds each
    fit | report) curate sweep "$step" trials ;;
    *) echo "unknown step: $step" >&2 && exit 2 ;;
    esac
done
