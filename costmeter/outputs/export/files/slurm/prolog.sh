#!/bin/sh
# Tells the agent of this node which GPUs a job was given. slurm.conf: Prolog=, with Alloc among the PrologFlags, so that
# it runs at the allocation and not when the first step begins.
#
# It runs as root on the node and must never keep a job from starting: whatever goes wrong here, it ends well. Nor may it
# write where anybody else could have put a link for it: the folder and the one above it have to be root's alone.
# COSTMETER_SLURM_FOLDER, where it is set, has to be set for the agent too.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 022
set -C # no file is written that is there already
folder=${COSTMETER_SLURM_FOLDER:-/run/costmeter-slurm}

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

# Whether a folder is a folder and no link, of whoever runs this (root), and written by nobody else.
is_ours() {
  case $(stat -c '%u %A' -- "$1" 2>/dev/null) in
    "$(id -u) d"????-??-?) return 0 ;;
    *) return 1 ;;
  esac
}

# shellcheck disable=SC2153  # SLURM_JOB_UID is Slurm's, and not SLURM_JOB_ID misspelt
tell() {
  is_ours "$(dirname -- "$folder")" || return
  mkdir -- "$folder" 2>/dev/null
  is_ours "$folder" || return
  draft=$folder/.$SLURM_JOB_ID.$$.tmp
  {
    printf '{"job": %s, "uid": %s, "user": %s' "$SLURM_JOB_ID" "$SLURM_JOB_UID" "$(quoted "$SLURM_JOB_USER")"
    printf ', "gpus": [%s], "name": %s' "$(gpus)" "$(quoted "$SLURM_JOB_NAME")"
    printf ', "account": %s' "$(quoted "$SLURM_JOB_ACCOUNT")"
    if [ -n "$SLURM_ARRAY_JOB_ID" ]; then
      printf ', "array": "%s_%s"' "$SLURM_ARRAY_JOB_ID" "$SLURM_ARRAY_TASK_ID"
    fi
    printf '}\n'
  } >"$draft" && mv -f -- "$draft" "$folder/$SLURM_JOB_ID.json" && return
  rm -f -- "$draft"
  return 1
}

case $SLURM_JOB_ID in
  '' | *[!0-9]*) exit 0 ;;
esac
if [ -n "${SLURM_JOB_GPUS:-$GPU_DEVICE_ORDINAL}" ]; then
  tell 2>/dev/null || logger -t costmeter "job $SLURM_JOB_ID: $folder could not be written, or is not root's" 2>/dev/null
fi
exit 0
