"""Trains an executable in several ways and compares the weights, the optimizer's state and the metrics by hash.

usage: check_determinism.py EXECUTABLE DATA FOLDER
"""
import hashlib
import os
import random
import shutil
import subprocess
import sys
import time

EXECUTABLE, DATA, FOLDER = sys.argv[1:4]
KILLS = 5


def command(run, *flags):
    return [EXECUTABLE, "train", "--data", DATA, "--run", run, "--quiet", *flags]


def digest(run):
    total = hashlib.sha256()
    for name in ("weights.safetensors", "state.safetensors"):
        total.update(open(os.path.join(run, "last", name), "rb").read())
    for line in open(os.path.join(run, "metrics.csv")):
        total.update(line.rsplit(",", 2)[0].encode())  # but for samples_per_second and seconds
    return total.hexdigest()


def train(name, *flags):
    run = os.path.join(FOLDER, name)
    begin = time.monotonic()
    subprocess.run(command(run, *flags), check=True)
    return digest(run), time.monotonic() - begin


def train_with_kills(name, seconds):
    """Kills the training KILLS times at random moments, each time after it made a checkpoint and before it could end."""
    run = os.path.join(FOLDER, name)
    kills = 0
    while kills < KILLS:
        resume = ["--resume"] if os.path.exists(os.path.join(run, "last")) else []
        if not resume:
            shutil.rmtree(run, ignore_errors=True)
        process = subprocess.Popen(command(run, "--seed", "5", "--threads", "2", "--save-every", "1", *resume))
        time.sleep(random.uniform(0.05, max(0.1, 0.5 * seconds)))
        process.kill()
        if process.wait() == 0:
            break
        kills += 1
    subprocess.run(command(run, "--seed", "5", "--resume"), check=True)
    return digest(run), kills


def main():
    expected, seconds = train("first", "--seed", "5", "--threads", "1")
    failures = 0

    def report(what, same, wanted=True):
        nonlocal failures
        failures += same != wanted
        print(f"{what}: {'same' if same else 'differs'}", flush=True)

    report("repeat", train("repeat", "--seed", "5", "--threads", "1")[0] == expected)
    for threads in (2, 3, 8):
        report(f"threads {threads}", train(f"threads-{threads}", "--seed", "5", "--threads", str(threads))[0] == expected)
    report("another seed", train("seed", "--seed", "6")[0] == expected, wanted=False)
    found, kills = train_with_kills("killed", seconds)
    report(f"killed {kills} times and resumed", found == expected)
    return 1 if failures or kills == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
