. /tmp/a7/env.sh; cd /tmp/a7
for i in 4 5 13 14 15 16 7 12; do timeout 90 $PY t$i.py > o$i.txt 2>&1; done
