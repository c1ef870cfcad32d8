#!/bin/sh
# Puts the scripts into place on a node, as root; slurm.conf stays as it is, and gets the lines of ./slurm.conf from you.
set -eu
cd "$(dirname "$0")"
folder=${1:-/etc/slurm}
install -D -m 0755 prolog.sh "$folder/costmeter-prolog.sh"
install -D -m 0755 epilog.sh "$folder/costmeter-epilog.sh"
install -D -m 0755 task_prolog.sh "$folder/costmeter-task-prolog.sh"
echo "Now add these lines to slurm.conf, and: scontrol reconfigure"
grep -v '^#' slurm.conf | sed "s|/etc/slurm|$folder|"
