"""What is measured: the executables of Kiln, and its peers, each a process bound to as many processors as it has threads."""
import json
import os
import select
import shutil
import statistics
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BATCH = 64
# No dropout where losses are compared: random numbers are not the same everywhere.
WITHOUT_DROPOUT = {"mlp": ["dropout=0"], "mnist_cnn": ["dropout=0"], "collab_nn": ["dropout=0", "last_dropout=0"]}
RATES = {"statefarm": 1e-4}  # else 1e-3; as in the .model files


def bound_to(threads):
    processors = sorted(os.sched_getaffinity(0))[:threads]
    return lambda: os.sched_setaffinity(0, processors)


class Kiln:
    """One executable. Each measurement is a process of its own: there is nothing to keep warm."""
    name = "Kiln"

    def __init__(self, build, folder, model):
        self.compiler, self.model, self.folder = os.path.join(build, "bin", "kiln"), model, folder
        self.source = os.path.join(ROOT, "bench", model + ".model")
        self.executable = os.path.join(folder, model)
        self.cold_s = self.compile(self.executable, "--no-cache")
        self.compile(self.executable)
        self.cached_s = self.compile(self.executable)
        self.bytes = os.path.getsize(self.executable)

    def compile(self, executable, *options):
        begin = time.perf_counter()
        subprocess.run([self.compiler, "build", self.source, "-o", executable, *options], check=True)
        return time.perf_counter() - begin

    def run(self, *arguments, threads, executable=None):
        """(output, seconds, peak MiB) of a run of the executable."""
        command = [executable or self.executable, *arguments] + (["--threads", str(threads)] if threads else [])
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=bound_to(threads or 1))
        output, errors = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}\n{(output + errors).decode(errors='replace')[-2000:]}")
        return output.decode(), time.perf_counter() - begin, usage.ru_maxrss / 1024

    def train(self, data, threads, epochs):
        """(milliseconds a step in each epoch, peak MiB)"""
        folder = self.executable + ".run"
        shutil.rmtree(folder, ignore_errors=True)
        _, _, peak = self.run("train", "--data", data, "--run", folder, "--epochs", str(epochs), "--save-every", "0", "--quiet", threads=threads)
        rows = [json.loads(line) for line in open(os.path.join(folder, "metrics.jsonl"))]
        return [1000 * BATCH / row["samples_per_second"] for row in rows], peak

    def epoch(self, data, threads, epochs):
        """Milliseconds a step in whole epochs, the first one left out."""
        milliseconds, peak = self.train(data, threads, epochs + 1)
        return statistics.median(milliseconds[1:]), peak

    def steps(self, data, threads, seconds):
        """(milliseconds of a step on a batch that lies ready, seconds from the start of the process to its first step, seconds of that one)"""
        output, _, _ = self.run("bench", "--data", data, "--seconds", str(seconds), "--json", threads=threads)
        _, version_s, _ = self.run("--version", threads=None)  # what comes before main, and the end of a process
        found = json.loads(output)
        first_s = found["first_step_ms"] / 1000
        return found["step_ms"], version_s + found["start_to_first_step_ms"] / 1000 - first_s, first_s

    def start_weights(self, data):
        """A safetensors file of the initial weights."""
        folder = self.executable + ".start"
        shutil.rmtree(folder, ignore_errors=True)
        self.run("train", "--data", data, "--run", folder, "--epochs", "0", "--quiet", threads=1)
        return os.path.join(folder, "last", "weights.safetensors")

    def losses(self, data, threads, steps, weights):
        """Of each step from these weights, on batches in the order of the records, without dropout."""
        executable = self.executable + ".in_order"
        constants = ["shuffled=false"] + WITHOUT_DROPOUT.get(self.model, [])
        self.compile(executable, *[word for constant in constants for word in ("-D", constant)])
        folder, table = executable + ".run", executable + ".csv"
        shutil.rmtree(folder, ignore_errors=True)
        self.run("train", "--data", data, "--run", folder, "--init", weights, "--epochs", "0", "--quiet", threads=threads, executable=executable)
        # A range test over next to no range is training at one rate that writes down the loss of each step.
        rate = RATES.get(self.model, 1e-3)
        self.run("lr-find", "--data", data, "--run", folder, "--start", "last", "--from", f"{rate:.9g}", "--to", f"{rate * (1 + 1e-7):.9g}", "--steps", str(steps),
                 "--csv", table, "--picture", executable + ".png", threads=threads, executable=executable)
        with open(table) as file:
            return [float(line.split(",")[2]) for line in file.read().splitlines()[1:]]


class Peer:
    """A way to run a model in another framework: an interpreter, a script of this folder and its options."""

    def __init__(self, name, python, script, options=()):
        self.name, self.python, self.script, self.options = name, python, os.path.join(ROOT, "bench", script), list(options)
        self.process = None

    def start(self, model, data, weights, threads, errors):
        """Runs up to the end of the first step; (seconds from the start of the process to that step, seconds of the step)."""
        command = [self.python, self.script, model, "--data", data, "--weights", weights, "--threads", str(threads), *self.options]
        begin = time.perf_counter()
        self.errors = open(errors, "w+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, preexec_fn=bound_to(threads),
                                        env={**os.environ, "OMP_NUM_THREADS": str(threads)})
        first = self.answer(limit_s=600)
        return time.perf_counter() - begin - first["first_step_s"], first["first_step_s"]

    def answer(self, limit_s=1800):
        ready, _, _ = select.select([self.process.stdout], [], [], limit_s)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.errors.seek(0)
            text = self.errors.read()[-2000:]
            self.stop()
            raise RuntimeError(f"{self.name} {'broke off' if ready else f'took longer than {limit_s} s'}\n{text}")
        return json.loads(line)

    def ask(self, request):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self.answer()

    def peak_mib(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


def modules_of(python):
    """{"torch": version, "jax": version} of an interpreter, as far as it has them."""
    found = {}
    for module in ("torch", "jax"):
        done = subprocess.run([python, "-c", f"import {module}; print({module}.__version__)"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if done.returncode == 0:
            found[module] = done.stdout.split()[-1]
    return found


def peers_of(pythons, pictures):
    """Every peer that these interpreters can run; channels-last is a layout of pictures."""
    peers = []
    for python in pythons:
        modules = modules_of(python)
        if "torch" in modules:
            name = f"PyTorch {modules['torch']}"
            layouts = [("", [])] + ([(" channels-last", ["--channels-last"])] if pictures else [])
            peers += [Peer(name + layout, python, "peer_pytorch.py", options) for layout, options in layouts]
            if int(modules["torch"].split(".")[0]) >= 2:
                # The compiler chooses layouts of its own.
                peers.append(Peer(f"{name} compiled", python, "peer_pytorch.py", ["--compile", *layouts[-1][1]]))
        if "jax" in modules:
            peers.append(Peer(f"JAX {modules['jax']}", python, "peer_jax.py"))
    return peers
