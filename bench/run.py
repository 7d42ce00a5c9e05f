"""Measures the executables beside the same models in PyTorch and JAX, in one run and in turn. See README.md in this folder.

usage: python3 bench/run.py --build DIR [--python PATH].. [--models NAME,..] [--threads 1,2] [--rounds N] [--loss-steps N] [--no-kernels] [--json FILE] [--report FILE]

Exit code 1: a peer's losses are not ours, so the work is not the same, or there was nothing to measure beside.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

import contenders
import draw
import report

MODELS = ["linear", "mlp", "mnist_cnn", "vgg_cifar", "resnet20", "statefarm", "collab_dot", "collab_nn"]
EPOCH_STEPS = {"mnist_cnn": 30, "vgg_cifar": 8, "resnet20": 16, "statefarm": 4}  # else 100
LOSS_RECORDS = {"statefarm": 10}  # batches in the comparison of losses, repeated; else as many as it has steps
# Losses are the same if the first two (the forward pass, and one whole step) agree to EARLY_TOLERANCE and the means of ten steps each to
# LATE_TOLERANCE, as shares of our first loss: rounding grows from step to step, and Adam's first steps are as large for a gradient that is
# rounding alone. (statefarm's first loss is 0.006 % from that in f64 here and 0.013 % in PyTorch, the second 0.18 % apart. A rate
# 1.2 times as high is 1.8 % off in two steps of linear, 5 % in two of mlp. In 100 steps of vgg_cifar, which has no normalization, contenders
# part when the loss falls fastest: PyTorch 1.13 and JAX are 0.8 % from each other and PyTorch 2.15 compiled is 4.4 and 5.1 % from these two, and ours
# has been near the former and near the latter, as its rounding changed.)
EARLY_TOLERANCE, LATE_TOLERANCE = 0.005, 0.075
SECONDS = 1.0  # about as long as one measurement takes
DROPPED = 1.5  # a peer so many times slower than the best one in the first round is not measured again


def processor_name():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def commit():
    def git(*arguments):
        return subprocess.run(["git", "-C", contenders.ROOT, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" and changes" if git("status", "--porcelain", "--untracked-files=no") else "")


def say(text):
    print(text, flush=True)


class Measured:
    """What was found out about one contender at one number of threads."""

    def __init__(self):
        self.step_ms, self.epoch_ms = [], []
        self.peak_mib = self.start_s = self.first_s = None

    def json(self):
        return {"step_ms": self.step_ms, "epoch_ms": self.epoch_ms, "peak_mib": self.peak_mib, "start_to_first_step_s": self.start_s, "first_step_s": self.first_s}


def count_for(milliseconds):
    return max(2, round(SECONDS * 1000 / milliseconds))


def measure_kiln(kiln, data, threads, found):
    step, start_s, first_s = kiln.steps(data, threads, SECONDS)
    found.step_ms.append(step)
    epoch, epoch_peak = kiln.epoch(data, threads, found.epochs)
    found.epoch_ms.append(epoch)
    found.peak_mib = max(found.peak_mib or 0, epoch_peak)
    found.start_s, found.first_s = min(found.start_s or start_s, start_s), min(found.first_s or first_s, first_s)


def measure_peer(peer, found):
    found.step_ms.append(peer.ask(f"steps {found.steps}")["ms"])
    found.epoch_ms.append(statistics.median(peer.ask("epoch")["ms"] for _ in range(found.epochs)))
    found.peak_mib = peer.peak_mib()


def measure(kiln, peers, data, weights, threads, rounds, folder):
    """{contender's name: Measured}, of those that run."""
    results = {kiln.name: Measured()}
    epoch_steps = EPOCH_STEPS.get(kiln.model, 100)
    first_ms, _ = kiln.epoch(data, threads, 1)
    results[kiln.name].epochs = max(1, round(count_for(first_ms) / epoch_steps))
    running = []
    for peer in peers:
        found = Measured()
        try:
            found.start_s, found.first_s = peer.start(kiln.model, data, weights, threads, os.path.join(folder, "peer.log"))
            warm = peer.ask("steps 2")["ms"]
        except RuntimeError as error:
            say(f"  {error}")
            continue
        found.steps, found.epochs = count_for(warm), max(1, round(count_for(warm) / epoch_steps))
        peer.ask(f"steps {found.steps // 2 + 1}")  # warmer
        results[peer.name] = found
        running.append(peer)
    for number in range(rounds):
        turn = [kiln, *running]
        # Whoever goes first in one round goes last in the next.
        for contender in turn if number % 2 == 0 else turn[::-1]:
            if contender is kiln:
                measure_kiln(kiln, data, threads, results[kiln.name])
            else:
                measure_peer(contender, results[contender.name])
        best = min((results[peer.name].step_ms[0] for peer in running), default=0)
        for peer in [peer for peer in running if number == 0 and results[peer.name].step_ms[0] > DROPPED * best]:
            peer.stop()
            running.remove(peer)
    for peer in running:
        peer.stop()
    return results


def tens(losses):
    return [statistics.mean(losses[i:i + 10]) for i in range(0, len(losses), 10)]


def compare_losses(kiln, peers, data, weights, threads, steps, folder):
    """[{name, losses, early, late}]: how far a peer's losses are from ours at most, over our first loss. The first entry is ours."""
    def apart(ours, theirs):
        return max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) / abs(first)

    ours = kiln.losses(data, threads, steps, weights)
    first = ours[0]
    table = [{"name": kiln.name, "losses": ours, "early": 0.0, "late": 0.0}]
    # Of the layouts of one PyTorch the last, which is faster on pictures: it is the same code.
    for peer in {(peer.python, peer.script, "--compile" in peer.options): peer for peer in peers}.values():
        try:
            peer.start(kiln.model, data, weights, threads, os.path.join(folder, "peer.log"))
            losses = peer.ask(f"losses {steps}")["losses"]
        except RuntimeError as error:
            say(f"  {error}")
            continue
        finally:
            peer.stop()
        table.append({"name": peer.name, "losses": losses, "early": apart(ours[:2], losses[:2]), "late": apart(tens(ours), tens(losses))})
    return table


def measure_kernels(build, folder, threads):
    """[{shape, part, threads, GFLOP/s, of_peak, GB/s, of_copy}] of the table of shapes, and the peak by threads."""
    rows, peaks = [], {}
    for count in threads:
        command = [os.path.join(build, "bin", "bench_kernels"), f"--threads={count}", f"--cache={os.path.join(folder, 'kernels')}", "--benchmark_format=json",
                   "--benchmark_min_time=0.2"]
        output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, preexec_fn=contenders.bound_to(count)).stdout
        found = json.loads(output)
        peaks[count] = float(found["context"]["peak_gflops"])
        for each in found["benchmarks"]:
            shape, _, part = each["name"].removesuffix("/manual_time").partition(": ")
            rows.append({"shape": shape, "part": part, "threads": count, **{key: each[key] for key in ("GFLOP/s", "of_peak", "GB/s", "of_copy")}})
    return rows, peaks


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--build", required=True)
    arguments.add_argument("--python", action="append", default=[], help="also take peers from this interpreter (a virtual environment's bin/python)")
    arguments.add_argument("--models", default=",".join(MODELS))
    arguments.add_argument("--threads", default="1,2")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--loss-steps", type=int, default=100, help="at least 10; 0: losses are not compared")
    arguments.add_argument("--no-kernels", action="store_true", help="leave out the kernels of the table of shapes")
    arguments.add_argument("--json", help="write every figure to this file")
    arguments.add_argument("--report", help="write the tables to this file, in Markdown [bench/RESULTS.md, if everything is measured]")
    options = arguments.parse_args()
    if options.loss_steps != 0 and options.loss_steps < 10:
        arguments.error(f"--loss-steps {options.loss_steps}: losses are compared in means of ten, so at least 10, or 0 for none")
    everything = not options.no_kernels and options.loss_steps and (options.models, options.threads) == (arguments.get_default("models"), arguments.get_default("threads"))
    if everything and not options.report:
        options.report = os.path.join(contenders.ROOT, "bench", "RESULTS.md")
    build = os.path.abspath(options.build)
    folder = os.path.join(build, "bench")
    os.makedirs(folder, exist_ok=True)
    pythons = ["/usr/bin/python3", *options.python]
    threads = [int(text) for text in options.threads.split(",")]

    versions = {python: contenders.modules_of(python) for python in pythons}
    if "torch" in versions["/usr/bin/python3"] and "openblas" not in os.path.realpath("/etc/alternatives/libblas.so.3-x86_64-linux-gnu"):
        # Debian's PyTorch takes its matrix products from whatever BLAS the system has.
        say("PyTorch would run on the slow reference BLAS; for a fair comparison: apt-get install libopenblas0-pthread")
        return 1
    present = sorted({f"{name} {version}" for found in versions.values() for name, version in found.items()})
    result = {"processor": processor_name(), "processors": len(os.sched_getaffinity(0)), "date": time.strftime("%Y-%m-%d %H:%M"), "commit": commit(),
              "batch": contenders.BATCH, "rounds": options.rounds, "peers": present, "early_tolerance": EARLY_TOLERANCE, "late_tolerance": LATE_TOLERANCE,
              "absent": report.absent(versions), "models": [], "builds": [], "losses": []}
    say(f"{result['processor']}, {result['processors']} processors; commit {result['commit']}; peers: {', '.join(present) or 'none'}")
    for text in result["absent"]:
        say(f"absent: {text}")

    different = False
    for model in options.models.split(","):
        kiln = contenders.Kiln(build, folder, model)
        peers = contenders.peers_of(versions, pictures=model in draw.SHAPES and model not in ("linear", "mlp"))
        data = draw.draw(folder, model, EPOCH_STEPS.get(model, 100) * contenders.BATCH)
        weights = kiln.start_weights(data)
        result["builds"].append({"model": model, "cold_s": kiln.cold_s, "cached_s": kiln.cached_s, "executable_bytes": kiln.bytes})
        say(f"\n{model}: built in {kiln.cold_s:.1f} s, from the cache {kiln.cached_s:.2f} s, executable {kiln.bytes / 1e6:.2f} MB")
        for count in threads:
            results = measure(kiln, peers, data, weights, count, options.rounds, folder)
            row = report.row(model, count, kiln.name, results)
            result["models"].append(row)
            say(report.text(row))
        if options.loss_steps and peers:
            data = draw.draw(folder, model, LOSS_RECORDS.get(model, options.loss_steps) * contenders.BATCH)
            table = compare_losses(kiln, peers, data, weights, max(threads), options.loss_steps, folder)
            for entry in table:
                agrees = entry["early"] <= EARLY_TOLERANCE and entry["late"] <= LATE_TOLERANCE
                different = different or not agrees
                result["losses"].append({"model": model, "steps": options.loss_steps, "agrees": agrees, **entry})
                say(f"  {entry['name']:36} loss {entry['losses'][0]:.6g} at first, {entry['losses'][-1]:.6g} after {options.loss_steps} steps;"
                    f" from ours at most {100 * entry['early']:.2g} % of the first loss in two steps, {100 * entry['late']:.2g} % in means of ten{'' if agrees else ': NOT THE SAME WORK'}")
    if not options.no_kernels:
        result["kernels"], result["peak_gflops"] = measure_kernels(build, folder, threads)
        say("\n" + report.kernels(result))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(result, file, indent=1)
    if options.report:
        with open(options.report, "w") as file:
            file.write(report.markdown(result))
    return 1 if different or not present else 0


if __name__ == "__main__":
    sys.exit(main())
