#!/bin/sh
# Tells the agent of this node which GPUs a job was given. slurm.conf:
#
#   Prolog=/etc/slurm/costmeter-prolog.sh
#   Epilog=/etc/slurm/costmeter-epilog.sh
#   PrologFlags=Alloc          # at the allocation, not when the first step begins
#
# It runs as root on the node and must never keep a job from starting: whatever goes wrong here, it ends well.
# COSTMETER_SLURM_FOLDER is where the agent looks, `slurm` in its runtime directory.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
folder=${COSTMETER_SLURM_FOLDER:-/run/costmeter/slurm}

# What stands between quotes in JSON: a job's name is whatever its user likes.
quoted() {
  printf '"%s"' "$(printf '%s' "$1" | tr -d '\000-\037' | cut -c 1-200 | sed 's/[\\"]/\\&/g')"
}

# SLURM_JOB_GPUS has the GPUs of the whole node by index ("0,1,5"), or by UUID where gres.conf says so. A step's
# CUDA_VISIBLE_DEVICES would count within the job.
gpus() {
  comma=
  for gpu in $(printf '%s' "${SLURM_JOB_GPUS:-$GPU_DEVICE_ORDINAL}" | tr ',' ' '); do
    printf '%s%s' "$comma" "$(quoted "$gpu")"
    comma=', '
  done
}

# shellcheck disable=SC2153  # SLURM_JOB_UID is Slurm's, and not SLURM_JOB_ID misspelt
tell() {
  umask 022
  mkdir -p "$folder" && draft=$(mktemp "$folder/.job.XXXXXX") || return
  {
    printf '{"job": %s, "uid": %s, "user": %s' "$SLURM_JOB_ID" "$SLURM_JOB_UID" "$(quoted "$SLURM_JOB_USER")"
    printf ', "gpus": [%s], "name": %s' "$(gpus)" "$(quoted "$SLURM_JOB_NAME")"
    printf ', "account": %s' "$(quoted "$SLURM_JOB_ACCOUNT")"
    if [ -n "$SLURM_ARRAY_JOB_ID" ]; then
      printf ', "array": "%s_%s"' "$SLURM_ARRAY_JOB_ID" "$SLURM_ARRAY_TASK_ID"
    fi
    printf '}\n'
  } >"$draft" && chmod 0644 "$draft" && mv -f "$draft" "$folder/$SLURM_JOB_ID.json" && return
  rm -f "$draft"
  return 1
}

if [ -n "$SLURM_JOB_ID" ] && [ -n "${SLURM_JOB_GPUS:-$GPU_DEVICE_ORDINAL}" ]; then
  tell || logger -t costmeter "job $SLURM_JOB_ID: $folder could not be written" 2>/dev/null
fi
exit 0
