#!/bin/sh
# Puts the scripts into place on a node, as root: sudo sh install.sh [FOLDER]. slurm.conf stays as it is; what it needs
# is said. To take it back: those lines out of slurm.conf, scontrol reconfigure, rm /etc/slurm/costmeter-*.sh
set -eu
cd "$(dirname "$0")"
folder=${1:-/etc/slurm}
if [ "$(id -u)" != 0 ]; then
  echo "Slurm runs these scripts as root, so root has to put them into place: sudo sh $0" >&2
  exit 1
fi
install -D -m 0755 prolog.sh "$folder/costmeter-prolog.sh"
install -D -m 0755 epilog.sh "$folder/costmeter-epilog.sh"
install -D -m 0755 task_prolog.sh "$folder/costmeter-task-prolog.sh"

# What Slurm has now: `Name = value`, with (null) for nothing; from 23.11 on also `Name[0] = value`. Empty where it does
# not answer.
config=$(timeout 10 scontrol show config 2>/dev/null || true)
now() {
  printf '%s\n' "$config" | sed -n "s/^$1\(\[[0-9]*\]\)\{0,1\}  *= *//p" | grep -v '^(null)$' | tr '\n' ' ' | sed 's/ *$//'
}

todo=
for name in Prolog Epilog TaskProlog; do
  line=$(grep "^$name=" slurm.conf | sed "s|/etc/slurm|$folder|")
  has=$(now "$name")
  case " $has " in
    "  ") todo="$todo$line
" ;;
    *" ${line#*=} "*) ;;
    *) todo="$todo# $name is $has: call ${line#*=} from it
" ;;
  esac
done
flags=$(now PrologFlags)
case ,$flags, in
  *,Alloc,* | *,Contain,* | *,X11,*) ;;
  ,,) if [ -n "$config" ]; then
    todo="${todo}PrologFlags=Alloc
"
  else
    todo="$todo# Alloc has to be among your PrologFlags (Contain and X11 imply it); where there are none: PrologFlags=Alloc
"
  fi ;;
  *) todo="${todo}PrologFlags=$flags,Alloc
" ;;
esac
if [ -n "$todo" ]; then
  echo "Now into slurm.conf, of all nodes, and then: scontrol reconfigure"
  printf '%s' "$todo"
else
  echo "slurm.conf has all it needs."
fi
