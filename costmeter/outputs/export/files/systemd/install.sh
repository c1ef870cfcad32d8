#!/bin/sh
# Puts the unit and its user and folders into place, starts the agent, and waits until it is ready: as root,
# sudo sh install.sh [SECONDS]. A second time it updates. To take it back: systemctl disable --now costmeter-agent;
# systemctl revert costmeter-agent (what `systemctl edit` made);
# rm /etc/systemd/system/costmeter-agent.service /etc/sysusers.d/costmeter.conf /etc/tmpfiles.d/costmeter.conf;
# systemctl daemon-reload
# Settings (/etc/costmeter), journal (/var/lib/costmeter), /run/costmeter and /run/costmeter-slurm (until the next boot),
# and the user stay until you remove them.
set -eu
cd "$(dirname "$0")"
patience=${1:-10}
fail() {
  echo "$*" >&2
  exit 1
}

[ "$(id -u)" = 0 ] || fail "users, folders and units are root's to make: sudo sh $0"
[ -x @COMMAND@ ] || fail "no @COMMAND@. Install it, from a checkout or a wheel: \
python3 -m venv @VENV@ && @VENV@/bin/pip install CHECKOUT_OR_WHEEL"
# The unit sees neither homes nor /tmp, and the interpreter has to be elsewhere too, whatever links to it.
python=$(sed -n '1s/^#! *\([^ ]*python[^ ]*\).*/\1/p' @COMMAND@)
for file in @COMMAND@ ${python:+"$python"}; do
  case $(readlink -f "$file") in
    /home/* | /root/* | /run/user/* | /tmp/* | /var/tmp/*)
      fail "$file is $(readlink -f "$file"), where the unit cannot look (ProtectHome, PrivateTmp). \
Make @VENV@ anew with a Python of the system's: /usr/bin/python3 -m venv --clear @VENV@" ;;
  esac
done
settings=/etc/costmeter/config.yaml
[ -e "$settings" ] && checked=$settings || checked=costmeter.yaml
@COMMAND@ config check "$checked" >&2 || fail "nothing was changed. First: $checked"

install -D -m 0644 costmeter-agent.service /etc/systemd/system/costmeter-agent.service
install -D -m 0644 sysusers.d/costmeter.conf /etc/sysusers.d/costmeter.conf
install -D -m 0644 tmpfiles.d/costmeter.conf /etc/tmpfiles.d/costmeter.conf
[ -e "$settings" ] || install -D -m 0644 costmeter.yaml "$settings"
systemd-sysusers costmeter.conf
systemd-tmpfiles --create costmeter.conf
if [ ! -d /run/systemd/system ]; then
  systemctl enable costmeter-agent
  echo "It is installed and not started, as systemd does not run here: it starts with the machine."
  exit 0
fi
systemctl daemon-reload
systemctl enable costmeter-agent
systemctl restart costmeter-agent

case $(systemctl show --property=ExecStart costmeter-agent) in
  *--web.*)
    echo "It is started. It serves where your ExecStart says, so ask there: /-/ready. Its log: journalctl -u costmeter-agent"
    exit 0 ;;
esac
# Somebody else's server may have the port and answer: the one that counts is the unit's own process.
ready() {
  systemctl is-active --quiet costmeter-agent || return 1
  "${python:-python3}" - "$(systemctl show --property=MainPID --value costmeter-agent)" <<END 2>/dev/null
import glob, http.client, os, sys
proc, port = f"/proc/{sys.argv[1]}", 26786
sockets = [line.split() for line in open(f"{proc}/net/tcp")]
listening = {f"socket:[{each[9]}]" for each in sockets if each[1].endswith(f":{port:04X}") and each[3] == "0A"}
if listening.isdisjoint(map(os.readlink, glob.glob(f"{proc}/fd/*"))):
    sys.exit(1)
asked = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
asked.request("GET", "/-/ready")
sys.exit(asked.getresponse().status != 200)
END
}
until ready; do
  [ "$patience" -gt 0 ] || fail "It is installed and started, and is not ready. Why: journalctl -u costmeter-agent -n 20"
  patience=$((patience - 1))
  sleep 1
done
echo "It is ready: systemctl status costmeter-agent; costmeter top; curl http://127.0.0.1:26786/metrics"
