#!/usr/bin/env python3
"""Which files `siskin serve` writes, and how many bytes, while all sorts of requests come (figure A16).

    scripts/serve-writes.py MODEL.gguf [--siskin PROGRAM] [--seconds 120] [--budget 64MiB]

The service runs under `strace -f`, with a folder for its state as under systemd, and with a home folder of its own, so that what
is written there is seen. It is asked the mix of soak-serve.py, and by turns prompts of 300 tokens, four times each, so that the
store of prefixes wants to write more than --budget bytes a day. The store keeps only what is faster to read than to
compute, so the model must be a large one. Prints a row a file (the store's together): how often it was opened for writing, how
many bytes were written, how often it was renamed, removed or made. Fails if more than the budget, or nothing, was written to
the store, or if anything outside was written, except the log on standard error. Needs Linux and strace.
"""
import argparse
import collections
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from serve_bench import mix
from serve_bench.servers import free_port

CALLS = ("openat,open,creat,truncate,ftruncate,fallocate,write,pwrite64,writev,pwritev,pwritev2,sendfile,copy_file_range,splice,"
         "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,link,linkat,symlink,symlinkat,mmap")
UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


class Traced:
    """What a trace of strace has, by path."""

    def __init__(self, folder):
        self.folder, self.opened, self.written, self.changed = folder, collections.Counter(), collections.Counter(), collections.Counter()

    def place(self, path):
        """The path, without the names of entries in the store."""
        return os.path.join(self.folder, "…") if path.startswith(self.folder + "/") else path

    def read(self, lines):
        # Calls that another thread interrupts are on two lines; they are put together by the thread's number.
        begun = {}
        for line in lines:
            thread, _, call = line.strip().partition(" ")
            call = call.strip()
            if call.endswith("<unfinished ...>"):
                begun[thread] = call[:-len("<unfinished ...>")]
            elif call.startswith("<... "):
                self.call(begun.pop(thread, "") + call.partition("resumed>")[2])
            else:
                self.call(call)

    def call(self, call):
        name, _, rest = call.partition("(")
        result = re.search(r"\) *= (-?\d+)(?:<(.*)>)?[^=]*$", call)
        if not result or int(result.group(1)) < 0:
            return
        if name in ("open", "openat", "creat"):
            if re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE", rest) or name == "creat":
                self.opened[self.place(result.group(2) or rest)] += 1
        elif name in ("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "copy_file_range", "splice"):
            descriptors = re.findall(r"\d+<((?:[^<>]|<[^<>]*>)*)>", rest)
            target = descriptors[-1 if name in ("copy_file_range", "splice") else 0] if descriptors else "unknown"
            self.written[self.place(target)] += int(result.group(1))
        elif name == "mmap":
            # A shared mapping that can be written is a way to write without a call.
            found = re.search(r"PROT_WRITE.*MAP_SHARED.*?\d+<(.*?)>", rest)
            if found:
                self.opened[self.place(found.group(1)) + " (mapped)"] += 1
        else:
            names = re.findall(r'"([^"]*)"', rest) or re.findall(r"<([^<>]*)>", rest)
            for path in names[:1]:
                folder = re.match(r"(?:AT_FDCWD|\d+)<([^<>]*)>", rest)
                full = path if path.startswith("/") or not folder else os.path.join(folder.group(1), path)
                self.changed[self.place(full)] += 1


def is_file(path):
    return path.startswith("/") and not path.startswith(("/dev/", "/proc/self/", "/sys/fs/cgroup/", "/memfd:"))


def traffic(port, seconds):
    """By turns the mix from two clients, and prompts that are worth keeping, alone; the number of requests."""
    end, done, rng = time.monotonic() + seconds, [0], random.Random(9)
    mixes = [random.Random(seed) for seed in (1, 2)]

    def mixed(chance, until):
        while time.monotonic() < until:
            path, body, cut, _ = mix.request(chance)
            mix.send(port, path, body, cut)
            done[0] += 1

    while time.monotonic() < end:
        threads = [threading.Thread(target=mixed, args=(chance, min(end, time.monotonic() + 2))) for chance in mixes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for _ in range(2):
            prompt = [rng.randint(300, 1500) for _ in range(300)]
            for _ in range(4):
                mix.send(port, "/v1/completions", {"prompt": prompt + [rng.randint(300, 1500)], "max_tokens": 2}, None)
                done[0] += 1
        # The store writes when nobody asked for a second.
        time.sleep(2.5)
    return done[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--siskin", default="target/release/siskin")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--budget", default="64MiB", help="bytes a day, of --prefix-writes")
    args = parser.parse_args()
    number, unit = re.fullmatch(r"(\d+)(KiB|MiB|GiB|)", args.budget).groups()
    budget = int(number) * UNITS[unit]
    with tempfile.TemporaryDirectory() as folder:
        state, home, trace = (os.path.join(folder, name) for name in ("state", "home", "trace"))
        os.mkdir(state, 0o700)
        os.mkdir(home)
        environment = {"PATH": os.environ["PATH"], "HOME": home, "STATE_DIRECTORY": state}
        port = free_port()
        command = ["strace", "-f", "-y", "-s", "0", "--seccomp-bpf", "-o", trace, "-e", f"trace={CALLS}", "-e", "signal=none",
                   args.siskin, "serve", args.model, "--port", str(port), "--prefix-writes",
                   f"{args.budget}/day"]
        log = open(os.path.join(folder, "log"), "w+", encoding="utf-8")
        process = subprocess.Popen(command, env=environment, stderr=log, stdout=log)
        try:
            begun = time.monotonic()
            while "serving at" not in open(log.name, encoding="utf-8").read():
                if process.poll() is not None or time.monotonic() - begun > 60:
                    sys.exit("the service does not start: " + open(log.name, encoding="utf-8").read())
                time.sleep(0.1)
            requests = traffic(port, args.seconds)
            with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="utf-8") as children:
                child = int(children.read().split()[0])
            with open(f"/proc/{child}/io", encoding="utf-8") as io:
                counters = dict(line.split(": ") for line in io.read().splitlines())
            os.kill(child, signal.SIGTERM)
            process.wait(60)
        finally:
            if process.poll() is None:
                process.kill()
        seen = Traced(state)
        with open(trace, errors="replace", encoding="utf-8") as lines:
            seen.read(lines)
        report(seen, log.name, state, budget, requests, args, counters)


def report(seen, log, state, budget, requests, args, counters):
    print(f"{requests} requests in {args.seconds:.0f} s; the kernel counts {int(counters['write_bytes']):,} bytes to disks\n")
    print("| file | opened to write | bytes written | renamed, removed, made |\n| --- | ---: | ---: | ---: |")
    store = os.path.join(state, "…")
    paths = sorted({path for counts in (seen.opened, seen.written, seen.changed) for path in counts if is_file(path)})
    for path in paths:
        name = "the store's folder" if path == store else "the log (standard error)" if path == log else path
        print(f"| {name} | {seen.opened[path]} | {seen.written[path]:,} | {seen.changed[path]} |")
    others = sum(count for path, count in seen.written.items() if not is_file(path))
    print(f"\n{others:,} bytes went to sockets, pipes and devices; {seen.written[store]:,} of {budget:,} allowed to the store")
    outside = [path for path in paths if path not in (store, log, state) and (seen.written[path] or seen.opened[path] or seen.changed[path])]
    problems = [f"outside of the state's folder: {path}" for path in outside]
    if seen.written[store] > budget:
        problems.append("more was written to the store than allowed")
    if seen.written[store] == 0:
        problems.append("the store wrote nothing: the run proves nothing about its budget")
    print("\n".join(problems) or "ok")
    sys.exit(bool(problems))


main()
