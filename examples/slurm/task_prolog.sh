#!/bin/sh
# Names the Slurm account as the project of what `costmeter run` meters in a task. slurm.conf:
#
#   TaskProlog=/etc/slurm/costmeter-task-prolog.sh
#
# Slurm takes `export NAME=value` from what it prints, so it prints nothing else. Labels that the user has set stay.
if [ -z "$COSTMETER_LABELS" ]; then
  case $SLURM_JOB_ACCOUNT in
    '' | *[!A-Za-z0-9._-]*) ;;
    *) printf 'export COSTMETER_LABELS={project: "%s"}\n' "$SLURM_JOB_ACCOUNT" ;;
  esac
fi
exit 0
