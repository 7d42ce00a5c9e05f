"""Measures the executables beside PyTorch: the same models, data, batch and optimizer, alternating in the same minutes.

usage: bench/run.py --build DIR [--models linear,mlp,mnist_cnn,collab_dot,collab_nn] [--threads 1,2] [--rounds N] [--json FILE]

Each round runs every contender once, as a process of its own bound to as many processors as it has threads. A run's figure is its
fastest epoch after the first one (warm-up); the table shows the median and the minimum over the rounds, the peak resident memory
of the process, and for Kiln the size of the executable and the time from start to the end of a run of one single step.
Pictures are drawn by draw-digits and ratings by chance: the time of a step does not depend on what they say.
"""
import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BATCH = 64
STEPS = {"linear": 600, "mlp": 200, "mnist_cnn": 30, "collab_dot": 2000, "collab_nn": 2000}  # of an epoch: about a second
EPOCHS = 4


def run(command, threads, environment=None):
    """Runs a command on the first `threads` processors it may use; returns (output, seconds, peak MiB)."""
    processors = sorted(os.sched_getaffinity(0))[:threads]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})},
                               preexec_fn=lambda: os.sched_setaffinity(0, processors))
    output = process.stdout.read()
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\nexit code {process.returncode}\n{(output + errors).decode(errors='replace')[-2000:]}")
    return output.decode(), time.perf_counter() - begin, usage.ru_maxrss / 1024


class Kiln:
    name = "kiln"

    def __init__(self, build, folder, model):
        self.folder, self.model = folder, model
        self.executable = os.path.join(folder, model)
        begin = time.perf_counter()
        subprocess.run([os.path.join(build, "bin", "kiln"), "build", os.path.join(ROOT, "bench", model + ".model"), "-o", self.executable], check=True)
        self.build_s = time.perf_counter() - begin
        self.one_step_s = None

    def train(self, data, threads, epochs):
        run_folder = os.path.join(self.folder, f"{self.model}.run")
        shutil.rmtree(run_folder, ignore_errors=True)
        _, seconds, peak = run([self.executable, "train", "--data", data, "--run", run_folder, "--threads", str(threads),
                                "--epochs", str(epochs), "--save-every", "0", "--quiet"], threads)
        rows = [json.loads(line) for line in open(os.path.join(run_folder, "metrics.jsonl"))]
        return [1000 * BATCH / row["samples_per_second"] for row in rows], seconds, peak

    def measure(self, data, threads):
        epoch_ms, _, peak = self.train(data, threads, EPOCHS)
        return min(epoch_ms[1:]), peak


class PyTorch:
    def __init__(self, model, channels_last):
        self.model, self.channels_last = model, channels_last
        self.name = "pytorch channels-last" if channels_last else "pytorch"

    def measure(self, data, threads):
        command = ["/usr/bin/python3", os.path.join(ROOT, "bench", "peer_pytorch.py"), self.model, "--data", data, "--threads", str(threads), "--epochs", str(EPOCHS)]
        output, _, peak = run(command + (["--channels-last"] if self.channels_last else []), threads, {"OMP_NUM_THREADS": str(threads)})
        return min(json.loads(output.splitlines()[-1])["epoch_ms"][1:]), peak


def pytorch_version():
    done = subprocess.run(["/usr/bin/python3", "-c", "import torch; print(torch.__version__)"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.decode().strip() if done.returncode == 0 else None


def processor_name():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def draw_ratings(folder, count):
    """As many ratings as asked for, of random movies by random users; the ids of MovieLens 100K."""
    data = os.path.join(folder, f"ratings-{count}")
    os.makedirs(data, exist_ok=True)
    for split, records in (("train", count), ("validation", BATCH)):
        numbers = random.Random(split)
        with open(os.path.join(data, split + ".csv"), "w") as file:
            file.write("user,movie,rating\n")
            for _ in range(records):
                file.write(f"{numbers.randrange(943)},{numbers.randrange(1682)},{numbers.randint(1, 5)}\n")
    return data


def draw(build, folder, model, count):
    if model.startswith("collab"):
        return draw_ratings(folder, count)
    data = os.path.join(folder, f"data-{count}")
    if not os.path.exists(os.path.join(data, "t10k-labels-idx1-ubyte")):
        subprocess.run([os.path.join(build, "bin", "draw-digits"), data, "--train", str(count), "--validation", str(BATCH)], check=True)
    return data


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--build", required=True)
    arguments.add_argument("--models", default=",".join(STEPS))
    arguments.add_argument("--threads", default="1,2")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--json", help="also write every figure to this file")
    options = arguments.parse_args()
    build = os.path.abspath(options.build)
    folder = os.path.join(build, "bench")
    os.makedirs(folder, exist_ok=True)

    torch = pytorch_version()
    if torch is None:
        print("PyTorch is not installed (apt-get install python3-torch libopenblas0-pthread): measuring Kiln alone")
    elif "openblas" not in os.path.realpath("/etc/alternatives/libblas.so.3-x86_64-linux-gnu"):
        # Debian's PyTorch takes its matrix products from whatever BLAS the system has.
        print("PyTorch would run on the slow reference BLAS; for a fair comparison: apt-get install libopenblas0-pthread")
        return 1
    report = {"processor": processor_name(), "processors": os.cpu_count(), "pytorch": torch, "date": time.strftime("%Y-%m-%d %H:%M"), "results": []}
    print(f"{report['processor']}, {report['processors']} processors; PyTorch {torch}; batch {BATCH}; {options.rounds} rounds")

    for model in options.models.split(","):
        data = draw(build, folder, model, STEPS[model] * BATCH)
        kiln = Kiln(build, folder, model)
        contenders = [kiln]
        if torch:
            contenders += [PyTorch(model, False)] + ([PyTorch(model, True)] if model == "mnist_cnn" else [])
        _, one_step_s, _ = kiln.train(draw(build, folder, model, BATCH), 1, 1)
        size = os.path.getsize(kiln.executable)
        print(f"\n{model}: executable {size / 1e6:.2f} MB, built in {kiln.build_s:.2f} s; from start to the end of a run of one step {one_step_s:.3f} s")
        print(f"  {'':24}{'threads':>8}{'ms/step median':>16}{'min':>9}{'peak MiB':>10}{'vs Kiln':>9}")
        for threads in [int(text) for text in options.threads.split(",")]:
            figures = {contender.name: [] for contender in contenders}
            for round_number in range(options.rounds):
                # Whoever goes first in one round goes last in the next.
                for contender in contenders if round_number % 2 == 0 else contenders[::-1]:
                    figures[contender.name].append(contender.measure(data, threads))
            base = statistics.median(ms for ms, _ in figures["kiln"])
            for name, pairs in figures.items():
                median, least, peak = statistics.median(ms for ms, _ in pairs), min(ms for ms, _ in pairs), max(mib for _, mib in pairs)
                print(f"  {name:24}{threads:8}{median:16.3f}{least:9.3f}{peak:10.0f}{median / base:8.2f}x", flush=True)
                report["results"].append({"model": model, "contender": name, "threads": threads, "ms_per_step": [ms for ms, _ in pairs], "median_ms": median,
                                          "min_ms": least, "peak_mib": peak})
        report["results"].append({"model": model, "executable_bytes": size, "build_s": kiln.build_s, "start_to_one_step_s": one_step_s})
    if options.json:
        with open(options.json, "w") as file:
            json.dump(report, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
