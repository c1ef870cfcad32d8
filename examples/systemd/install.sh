#!/bin/sh
# Puts the unit and its user and folders into place, and starts the agent. As root; a second time it updates.
set -eu
cd "$(dirname "$0")"
if [ ! -x /opt/costmeter/bin/costmeter ]; then
  echo "no /opt/costmeter/bin/costmeter. Install it: python3 -m venv /opt/costmeter && /opt/costmeter/bin/pip install costmeter" >&2
  exit 1
fi
install -D -m 0644 costmeter-agent.service /etc/systemd/system/costmeter-agent.service
install -D -m 0644 sysusers.d/costmeter.conf /etc/sysusers.d/costmeter.conf
install -D -m 0644 tmpfiles.d/costmeter.conf /etc/tmpfiles.d/costmeter.conf
[ -e /etc/costmeter/config.yaml ] || install -D -m 0644 costmeter.yaml /etc/costmeter/config.yaml
systemd-sysusers costmeter.conf
systemd-tmpfiles --create costmeter.conf
systemctl daemon-reload
systemctl enable costmeter-agent
systemctl restart costmeter-agent
echo "It runs: systemctl status costmeter-agent; costmeter top; curl http://127.0.0.1:26786/metrics"
