#!/bin/bash
# A conversion as a Slurm job array: each task makes its share of the units, one more job puts them together.
#
#   SRC=/data/runs OUT=/data/datasets/panda bash pipelines/slurm-array.sh
#
# SRC, OUT and PLAN must lie on a file system that all nodes see under the same paths. Any number of tasks
# gives the same bytes. A task that fails or is preempted may run again at any time: what is finished is kept.
set -euo pipefail

: "${SRC:?the recordings: a file, a folder or a glob}"
: "${OUT:?the folder of the dataset}"
PLAN="${PLAN:-$OUT.plan.json}"
TASKS="${TASKS:-16}"

case "${1:-submit}" in
submit)
    # More flags of `node-data convert`, such as `--split train=0.9,val=0.1`, go here.
    node-data plan "$SRC" --out "$OUT" --plan "$PLAN"
    array=$(sbatch --parsable --job-name=node-data-work --array="0-$((TASKS - 1))" \
        --cpus-per-task=4 --mem=4G --requeue \
        --export="ALL,SRC=$SRC,OUT=$OUT,PLAN=$PLAN,TASKS=$TASKS" "$0" work)
    sbatch --job-name=node-data-finish --dependency="afterok:$array" --cpus-per-task=4 --mem=4G \
        --export="ALL,SRC=$SRC,OUT=$OUT,PLAN=$PLAN,TASKS=$TASKS" "$0" finish
    ;;
work)
    # The number of tasks comes from here and not from Slurm, whose count drops when single tasks run again.
    node-data work --plan "$PLAN" --index "$SLURM_ARRAY_TASK_ID" --of "$TASKS" \
        --threads "${SLURM_CPUS_PER_TASK:-4}"
    ;;
finish)
    node-data finish --plan "$PLAN" --threads "${SLURM_CPUS_PER_TASK:-4}"
    ;;
*)
    echo "usage: $0 [submit|work|finish]" >&2
    exit 2
    ;;
esac
