#!/bin/sh
# Builds the data, trains the embedded VLM in two stages, exports and reports. Every line is a command to type, and
# every command goes on where an earlier run of it stopped, so run this again after any interruption.
#
#     recipes/embedded/run.sh [STEP ...]      STEP: data mix assemble align icl export report; all in order by default
#     WORK=runs/embedded                      where everything is written
set -eu
here=$(cd "$(dirname "$0")" && pwd)
WORK=${WORK:-runs/embedded}
GRID=${GRID:-2}
mkdir -p "$WORK/mix"
cp "$here"/mix/*.yaml "$WORK/mix/" # a spec's paths begin at its own folder
cd "$WORK"

data() {
    curate samples fetch openmoji emoji-datasource-google emoji-datasource-twitter fluent-emoji-3d openclipart-svg \
        tuxpaint-stamps-default
    for run in stamps clipart clipart-held emoji emoji-held; do
        curate build-episodes "$here/data/$run.yaml" --out "data/$run" --workers 2
    done
}

mix() {
    for plan in align align-held icl icl-held; do
        curate mix "mix/$plan.yaml" --out "plans/$plan"
    done
}

assemble() {
    [ -e model/config.json ] || curate assemble --vision embedded --lm embedded --grid "$GRID" \
        --pairs data/emoji --pairs data/clipart --pairs data/stamps --out model
}

align() { curate train "$here/align.yaml"; }

icl() {
    finished align
    curate train "$here/icl.yaml"
}

export_() {
    finished icl
    curate export icl --out tuned
}

finished() { # a run that SIGTERM ended is no mistake, and not done either
    python3 -c 'import json, sys; run = json.load(open(sys.argv[1])); sys.exit(run["step"] < run["steps"])' "$1/summary.json" ||
        { echo "$1 is not finished: run step $1 again" >&2 && exit 1; }
}

report() {
    curate report align
    curate report icl
}

for step in ${*:-data mix assemble align icl export report}; do
    case $step in
    data | mix | assemble | align | icl | report) $step ;;
    export) export_ ;;
    *) echo "unknown step: $step" >&2 && exit 2 ;;
    esac
done
