"""A program that announces itself to the agent of its node, without `costmeter run`: lines of JSON on a socket."""

import json
import os
import socket
import time

agent = socket.socket(socket.AF_UNIX)
agent.connect(os.environ.get("COSTMETER_AGENT", "/run/costmeter/agent.sock"))
lines = agent.makefile("rw")


def say(**what):
    print(json.dumps(what), file=lines, flush=True)


say(costmeter="announce/1", run=f"night-{os.getpid()}", name="nightly", labels={"project": "llm"}, pid=os.getpid())
print("the agent says", lines.readline(), end="")
for step in range(3):
    time.sleep(0.1)  # train
    say(phase="training", steps=step + 1, of_steps=3)
say(end={"outcome": "ok", "exit_code": 0})
