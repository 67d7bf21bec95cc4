"""Runs a command at a pseudo terminal of 100 columns, with its screen on stdout and its keys on stdin."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios

pid, master = pty.fork()
if pid == 0:
    # A build in the background ignores Ctrl-C, and would hand that down.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    os.environ.update(TERM="xterm-256color", LC_ALL="C.UTF-8")
    os.execvp(sys.argv[1], sys.argv[1:])

sources = [0, master]
while True:
    ready, _, _ = select.select(sources, [], [])
    if 0 in ready:
        keys = os.read(0, 4096)
        if keys:
            os.write(master, keys)
        else:
            sources.remove(0)
    if master in ready:
        try:
            screen = os.read(master, 65536)
        except OSError:  # Linux: the other side is closed
            screen = b""
        if not screen:
            break
        os.write(1, screen)
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
